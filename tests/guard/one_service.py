"""One service, judged again and again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netctl.guard.shrink import ShrinkGuard, Verdict
from netctl.model.clock import SECOND
from netctl.model.naming import Instance

MINUTE = 60 * SECOND


def some(numbers: Iterable[int], *, unhealthy: Iterable[int] = ()) -> dict[str, Instance]:
    sick = set(unhealthy)
    return {
        f"vm{n}": Instance("orders", f"vm{n}", f"10.1.0.{n}", (("http", 80),), "a", healthy=n not in sick)
        for n in numbers
    }


class Served:
    """One service, judged again and again as a controller would: what is effective is served next."""

    def __init__(self, numbers: Iterable[int], max_shrink: float = 0.3) -> None:
        self.guard = ShrinkGuard(max_shrink)
        self.served = some(numbers)
        self.now_ns = 0
        self.list(self.served)

    def list(
        self,
        listed: Mapping[str, Instance] | Iterable[int],
        dead: Iterable[str] = (),
        *,
        removable: bool = True,
        after_ns: int = 0,
    ) -> Verdict:
        self.now_ns += after_ns
        instances = listed if isinstance(listed, Mapping) else some(listed)
        verdict = self.guard.judge(
            "orders",
            instances,
            self.served,
            set(dead),
            removable=removable,
            now_ns=self.now_ns,
            now_wall=1000.0 + self.now_ns / SECOND,
        )
        assert set(verdict.effective) >= set(instances)
        assert set(verdict.effective) | verdict.gone >= set(self.served)
        assert (verdict.hold,) == (self.guard.holds() or (None,))
        self.served = verdict.effective
        return verdict
