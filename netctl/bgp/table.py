"""A peer's table: prefix → interned attributes, and what each update changes in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from netctl.bgp.events import Attributes, Updated
from netctl.model.prefix import Prefix

CHUNK = 4096
"""Most prefixes in one message."""


@dataclass(slots=True)
class Delta:
    """What an update changed: prefixes gone, then prefixes with new attributes."""

    withdrawn: list[Prefix] = field(default_factory=list)
    changed: list[tuple[Attributes, list[Prefix]]] = field(default_factory=list)


class Table:
    """What one peer announced and we accepted.

    Discarded, counted in ``discarded`` by reason, and where it replaces a prefix that was accepted before, that one
    is withdrawn (an UPDATE replaces, RFC 4271 3.1): ``own_asn`` (loop, RFC 4271 9.1.2), ``third_party_next_hop``
    (the next hop is not the peer itself: liveness watches the peer, nobody the other), ``max_prefixes`` (a new prefix
    beyond the limit; those within it stay).
    """

    def __init__(self, own_asn: int, next_hop: bytes, max_prefixes: int) -> None:
        self.own_asn = own_asn
        self.next_hop = next_hop
        self.max_prefixes = max_prefixes
        self.discarded: Counter[str] = Counter()
        self.refused: set[Prefix] = set()
        """Prefixes beyond the limit that the peer announces now, as far as they are counted (one limit more)."""
        self._routes: dict[Prefix, Attributes] = {}
        self._unconfirmed: dict[Prefix, None] | None = None

    def __len__(self) -> int:
        return len(self._routes)

    @property
    def overflowed(self) -> bool:
        """At least twice ``max_prefixes`` are announced."""
        return len(self.refused) >= self.max_prefixes

    def clear(self) -> None:
        """Forget everything: the session ended."""
        self._routes.clear()
        self.refused.clear()
        self._unconfirmed = None

    def begin_refresh(self) -> None:
        """From now on a prefix counts as confirmed only when announced again (RFC 7313 section 4)."""
        self._unconfirmed = dict.fromkeys(self._routes)

    def end_refresh(self) -> Delta:
        """Drop what was not announced again."""
        gone = [prefix for prefix in self._unconfirmed or () if self._routes.pop(prefix, None) is not None]
        self._unconfirmed = None
        return Delta(gone)

    def apply(self, update: Updated) -> Delta:
        """Apply one UPDATE; what is announced again unchanged is no change."""
        delta = Delta(self._remove(update.withdrawn))
        for next_hop, attributes, prefixes in update.announced:
            if self._unconfirmed is not None:
                for prefix in prefixes:
                    self._unconfirmed.pop(prefix, None)
            reason = self._objection(next_hop, attributes)
            if reason:
                self.discarded[reason] += len(prefixes)
                delta.withdrawn += self._remove(prefixes)
            elif changed := self._store(attributes, prefixes):
                delta.changed.append((attributes, changed))
        return delta

    def _objection(self, next_hop: bytes, attributes: Attributes) -> str:
        if self.own_asn in attributes.seen:
            return "own_asn"
        return "" if next_hop == self.next_hop else "third_party_next_hop"

    def _remove(self, prefixes: Iterable[Prefix]) -> list[Prefix]:
        if self.refused:
            self.refused.difference_update(prefixes)
        pop = self._routes.pop
        return [prefix for prefix in prefixes if pop(prefix, None) is not None]

    def _store(self, attributes: Attributes, prefixes: list[Prefix]) -> list[Prefix]:
        routes = self._routes
        changed = []
        for prefix in prefixes:
            old = routes.get(prefix)
            if old is attributes or old == attributes:
                continue
            if old is None and len(routes) >= self.max_prefixes:
                self._refuse(prefix)
                continue
            routes[prefix] = attributes
            changed.append(prefix)
        return changed

    def _refuse(self, prefix: Prefix) -> None:
        self.discarded["max_prefixes"] += 1
        if len(self.refused) < self.max_prefixes:
            self.refused.add(prefix)

    def chunks(self) -> Iterator[tuple[Attributes, bytes]]:
        """The whole table as it is at this call, grouped by attributes, keys joined, at most CHUNK in each.

        The copy is taken at once (5 bytes a prefix), so the table may change while the chunks are consumed.
        """
        groups: dict[int, tuple[Attributes, bytearray]] = {}
        for prefix, attributes in self._routes.items():
            group = groups.get(id(attributes))
            if group is None:
                group = groups[id(attributes)] = (attributes, bytearray())
            group[1].extend(prefix)
        return _cut(list(groups.values()))


def _cut(groups: list[tuple[Attributes, bytearray]]) -> Iterator[tuple[Attributes, bytes]]:
    size = CHUNK * 5
    for attributes, keys in groups:
        for start in range(0, len(keys), size):
            yield attributes, bytes(keys[start : start + size])
