"""``FakeEtcd``: keys, revisions, history, leases, and what can happen to an etcd.

Keys are what registries give out (``service/instance``): there is no prefix. Everything takes effect at once; whoever
follows is woken and reads from the history at which it was, so that one that is slow, stopped or dead costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from netctl.model.clock import SECOND, Clock, Timer
from netctl.model.ports import Changed

MAX_HISTORY = 10_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a backup of an etcd holds."""

    values: Mapping[str, bytes]
    revision: int


@dataclass(slots=True)
class _Lease:
    ttl_ns: int
    timer: Timer
    keys: set[str] = field(default_factory=set)


class FakeEtcd:
    """One etcd. ``away``: why nobody can reach it, "" when it can be reached (writers of this class always can)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._values: dict[str, bytes] = {}
        self._history: list[Changed] = []
        self._leases: dict[int, _Lease] = {}
        self._lease_ids = 0
        self._waiting: list[Callable[[], None]] = []
        self.revision = 1
        self.compacted = 1
        """What happened up to this revision can no longer be watched."""
        self.incarnation = 0
        """Changes when the data are others than before (wiped, restored): what was read before counts no more."""
        self.away = ""

    @property
    def values(self) -> Mapping[str, bytes]:
        """What it holds now."""
        return self._values

    def put(self, key: str, value: bytes, lease: int = 0) -> int:
        """The revision of the write. Raises KeyError when there is no such lease."""
        holder = self._leases[lease] if lease else None
        for other in self._leases.values():
            other.keys.discard(key)
        if holder is not None:
            holder.keys.add(key)
        self._change({key: value}, frozenset())
        return self.revision

    def delete(self, key: str) -> int:
        """How many keys went: 0 or 1."""
        return self._delete({key} & self._values.keys())

    def delete_prefix(self, prefix: str = "") -> int:
        """How many keys went, all in one revision; without a prefix all."""
        return self._delete({key for key in self._values if key.startswith(prefix)})

    def grant(self, ttl_s: float) -> int:
        """A new lease."""
        self._lease_ids += 1
        lease, ttl_ns = self._lease_ids, int(ttl_s * SECOND)
        self._leases[lease] = _Lease(ttl_ns, self._expiry(lease, ttl_ns))
        return lease

    def keep_alive(self, lease: int) -> bool:
        """Whether the lease was still there, and so lives on."""
        held = self._leases.get(lease)
        if held is None:
            return False
        held.timer.cancel()
        held.timer = self._expiry(lease, held.ttl_ns)
        return True

    def revoke(self, lease: int) -> None:
        """End a lease; its keys go with it, in one revision. Harmless when it is gone."""
        held = self._leases.pop(lease, None)
        if held is not None:
            held.timer.cancel()
            self._delete(held.keys & self._values.keys())

    def go_away(self, reason: str = "refuses the connection; is etcd running there?") -> None:
        """Nobody who follows can reach it; leases run on."""
        self.away = reason
        self._wake()

    def come_back(self) -> None:
        self.away = ""
        self._wake()

    def compact(self) -> None:
        """Forget the history: followers that were away have to list."""
        self.compacted = self.revision
        self._history.clear()

    def snapshot(self) -> Snapshot:
        return Snapshot(dict(self._values), self.revision)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a backup, revision and all, as ``etcdctl snapshot restore`` does; leases are gone."""
        for held in self._leases.values():
            held.timer.cancel()
        self._leases.clear()
        self._values = dict(snapshot.values)
        self._history.clear()
        self.revision = self.compacted = snapshot.revision
        self.incarnation += 1
        self._wake()

    def wipe(self) -> None:
        """A new, empty etcd in its place."""
        self.restore(Snapshot({}, 1))

    def since(self, revision: int) -> list[Changed] | None:
        """What happened after a revision; None when that is compacted."""
        if revision < self.compacted:
            return None
        return self._history[revision - self.compacted :]

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back once, at the next change of anything."""
        self._waiting.append(callback)

    def _expiry(self, lease: int, ttl_ns: int) -> Timer:
        return self._clock.call_at(self._clock.monotonic_ns() + ttl_ns, lambda: self.revoke(lease))

    def _delete(self, keys: set[str]) -> int:
        if keys:
            for held in self._leases.values():
                held.keys -= keys
            self._change({}, frozenset(keys))
        return len(keys)

    def _change(self, puts: Mapping[str, bytes], deletes: frozenset[str]) -> None:
        self.revision += 1
        for key in deletes:
            del self._values[key]
        self._values.update(puts)
        if len(self._history) >= MAX_HISTORY:
            self.compacted = self.revision - 1
            self._history.clear()
        self._history.append(Changed(puts, deletes, self.revision))
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()
