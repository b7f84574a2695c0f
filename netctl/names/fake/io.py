"""``FakeRegistry``: the Registry port on a ``FakeEtcd``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from netctl.model.ports import Changed, Listed, Lost, RegistryEvent
from netctl.names.fake.store import FakeEtcd


class FakeRegistry:
    """One follower's view of an etcd; each controller has its own, as it has its own connection.

    ``away``: why this follower alone cannot reach it (``cut`` and ``mend``).
    """

    def __init__(self, etcd: FakeEtcd) -> None:
        self.etcd = etcd
        self.away = ""
        self._wake: Callable[[], None] = lambda: None

    def cut(self, reason: str = "does not answer within 2 s") -> None:
        self.away = reason
        self._wake()

    def mend(self) -> None:
        self.away = ""
        self._wake()

    async def follow(self, take: Callable[[RegistryEvent], None]) -> None:
        etcd, incarnation, revision, said = self.etcd, -1, 0, ""
        while True:
            woken = asyncio.Event()
            self._wake = woken.set
            etcd.on_change(woken.set)
            if reason := self.away or etcd.away:
                if reason != said:
                    said = reason
                    take(Lost(f"etcd fake {reason}"))
            else:
                news = etcd.since(revision) if incarnation == etcd.incarnation else None
                if news is None:
                    take(Listed(dict(etcd.values), etcd.revision))
                elif news or said:
                    for change in news or [Changed({}, frozenset(), revision)]:
                        take(change)
                incarnation, revision, said = etcd.incarnation, etcd.revision, ""
            await woken.wait()

    async def close(self) -> None:
        """Nothing is open outside of ``follow``."""
