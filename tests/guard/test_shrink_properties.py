"""The shrink guard against any sequence of lists, verdicts, approvals and restarts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from netctl.guard.shrink import ShrinkGuard
from netctl.model.clock import SECOND
from tests.guard.one_service import MINUTE, Served, some

_EVENTS = st.lists(
    st.tuples(
        st.sets(st.integers(0, 11)),
        st.sets(st.integers(0, 11), max_size=4),
        st.sampled_from([0, 1, 60, 301, 599, 601, 100_000]),
        st.sampled_from(["", "", "", "", "approve", "restart", "not removable"]),
    ),
    max_size=12,
)


@settings(max_examples=400)
@given(st.sets(st.integers(0, 11), min_size=1), _EVENTS, st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_whatever_the_sources_say(
    first: set[int], events: list[tuple[set[int], set[int], int, str]], max_shrink: float
) -> None:
    """No source alone removes more than allowed, nor the last; what is held ends in three ways only."""
    service = Served(first, max_shrink)
    history = [(0, len(first))]
    approved: set[str] = set()
    for listed, sick, after_s, act in events:
        before = service.guard.holds()
        was_served = set(service.served)
        if act == "approve" and before:
            approved |= set(service.guard.approve(before[0].id).instances)
        elif act == "restart":
            guard = ShrinkGuard(max_shrink)
            guard.restore(before, service.guard.approved())
            service.guard = guard
            history = [(service.now_ns, len(was_served))]
        names, dead = set(some(listed)), {f"vm{n}" for n in sick}
        verdict = service.list(listed, dead, removable=act != "not removable", after_ns=after_s * SECOND)
        assert not verdict.gone or act != "not removable"
        if verdict.gone - dead - approved:
            peak = peak_of(history, service.now_ns)
            assert peak - len(verdict.effective) <= max(1, max_shrink * peak) + 1e-9
            assert set(verdict.effective) - dead
        held_before = {name for hold in before for name in hold.instances} & was_served
        held_now = set(verdict.hold.instances) if verdict.hold else set()
        assert held_before - held_now <= names | dead | approved
        assert held_now <= set(verdict.effective)
        history = history if approved.isdisjoint(verdict.gone) else []
        history.append((service.now_ns, len(verdict.effective)))
        if act != "not removable":
            approved -= names | verdict.gone


def peak_of(history: list[tuple[int, int]], now_ns: int) -> int:
    """The most that were served within ten minutes; ``history``: (since when, how many)."""
    ends = [since for since, _ in history[1:]] + [now_ns + 1]
    return max(count for (_, count), end in zip(history, ends, strict=True) if end > now_ns - 10 * MINUTE)
