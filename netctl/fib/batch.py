"""Groups, routes and deletions in big batches; each refusal is attributed to its operation and prefix."""

from __future__ import annotations

import errno
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from netctl.fib import wire
from netctl.fib.owners import route_in_the_way
from netctl.model.prefix import Prefix
from netctl.model.routing import ROUTE_PROTOCOL, DeleteNexthop, DeleteRoutes, OpFailed, PutGroup, PutRoutes

BATCH_MESSAGES = 1024
"""Messages per send; at 52 bytes for each route far below the usual send buffer."""
_ASKED_ONE_BY_ONE = 64
"""Of so many routes in the way the owner is asked for each; beyond, netctl's own are dumped, which costs the table."""
_ALREADY_GONE = ((DeleteRoutes, errno.ESRCH), (DeleteNexthop, errno.ENOENT))

BatchOp = PutGroup | PutRoutes | DeleteRoutes | DeleteNexthop


class Exchanger(Protocol):
    """The commanding socket."""

    def reserve(self, count: int) -> int:
        """The first of ``count`` consecutive sequence numbers."""

    def exchange(self, data: bytes) -> Sequence[wire.Message]:
        """Send encoded messages as one batch; what the kernel answers."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Consecutive messages of one operation, numbered from ``first``."""

    op: BatchOp
    first: int
    count: int
    data: bytes
    prefixes: tuple[Prefix, ...] = ()


@dataclass(slots=True)
class _Refusals:
    """By operation (``id``), errno and the kernel's words, in the order in which they came."""

    of: dict[tuple[int, int, str], tuple[BatchOp, list[Prefix]]] = field(default_factory=dict)

    def add(self, op: BatchOp, number: int, text: str, prefix: Prefix | None) -> None:
        _, prefixes = self.of.setdefault((id(op), number, text), (op, []))
        if prefix is not None:
            prefixes.append(prefix)

    def failed(self) -> list[OpFailed]:
        return [
            OpFailed(op, number, text, prefixes[0] if prefixes else None, tuple(prefixes))
            for (_, number, text), (op, prefixes) in self.of.items()
        ]


class Batches:
    """``own_routes`` gives the prefixes of all routes that netctl has."""

    def __init__(self, netlink: Exchanger, own_routes: Callable[[], Container[Prefix]]) -> None:
        self._netlink = netlink
        self._own_routes = own_routes

    def apply(self, ops: Sequence[BatchOp]) -> list[OpFailed]:
        """See the port's ``apply``."""
        refusals = _Refusals()
        in_the_way = list(self._apply(ops, refusals))
        if in_the_way:
            again = self._resolve(in_the_way, refusals)
            for op, prefix in self._apply(again, refusals):  # cannot be, as these are not created but replaced
                refusals.add(op, errno.EEXIST, route_in_the_way(None), prefix)
        return refusals.failed()

    def _apply(self, ops: Sequence[BatchOp], refusals: _Refusals) -> Iterator[tuple[PutRoutes, Prefix]]:
        """Send all; yields the routes to create that met another."""
        batch: list[_Piece] = []
        room = BATCH_MESSAGES
        for op in ops:
            start, end = 0, len(op.prefixes) if isinstance(op, PutRoutes | DeleteRoutes) else 1
            while start < end:
                piece = self._encode(op, start, room)
                batch.append(piece)
                start += piece.count
                room -= piece.count
                if not room:
                    yield from self._send(batch, refusals)
                    batch, room = [], BATCH_MESSAGES
        if batch:
            yield from self._send(batch, refusals)

    def _encode(self, op: BatchOp, start: int, room: int) -> _Piece:
        """The next messages of ``op``, at most ``room``, from its prefix number ``start`` on."""
        if isinstance(op, PutRoutes | DeleteRoutes):
            part = op.prefixes[start : start + room]
            first = self._netlink.reserve(len(part))
            if isinstance(op, PutRoutes):
                data = wire.put_routes(first, part, op.group, create=op.create)
            else:
                data = wire.delete_routes(first, part)
            return _Piece(op, first, len(part), data, part)
        first = self._netlink.reserve(1)
        if isinstance(op, PutGroup):
            return _Piece(op, first, 1, wire.put_group(first, op.id, op.members))
        return _Piece(op, first, 1, wire.delete_nexthop(first, op.id))

    def _send(self, batch: list[_Piece], refusals: _Refusals) -> Iterator[tuple[PutRoutes, Prefix]]:
        for sequence, number, text in wire.errors(self._netlink.exchange(b"".join(piece.data for piece in batch))):
            piece = next(p for p in batch if p.first <= sequence < p.first + p.count)
            op = piece.op
            prefix = piece.prefixes[sequence - piece.first] if piece.prefixes else None
            if isinstance(op, PutRoutes) and op.create and number == errno.EEXIST and prefix is not None:
                yield op, prefix
            elif not any(isinstance(op, kind) and number == gone for kind, gone in _ALREADY_GONE):
                refusals.add(op, number, text, prefix)

    def _resolve(self, met: list[tuple[PutRoutes, Prefix]], refusals: _Refusals) -> list[PutRoutes]:
        """What was met is netctl's (a predecessor's, or our own of a moment ago): replace it. Or it is not."""
        owners = self._owners([prefix for _, prefix in met])
        ours: dict[int, list[Prefix]] = {}
        for op, prefix in met:
            if owners[prefix] == ROUTE_PROTOCOL:
                ours.setdefault(op.group, []).append(prefix)
            else:
                refusals.add(op, errno.EEXIST, route_in_the_way(owners[prefix]), prefix)
        return [PutRoutes(tuple(prefixes), group) for group, prefixes in ours.items()]

    def _owners(self, prefixes: Sequence[Prefix]) -> dict[Prefix, int | None]:
        """The protocol of each one's route of netctl's metric."""
        asked = prefixes[:_ASKED_ONE_BY_ONE] if len(prefixes) <= _ASKED_ONE_BY_ONE else ()
        first = self._netlink.reserve(len(asked))
        data = b"".join(wire.get_route(number, prefix) for number, prefix in enumerate(asked, first))
        found: dict[Prefix, int | None] = {}
        for answer in self._netlink.exchange(data):
            if answer.kind == wire.RTM_NEWROUTE and (owner := wire.route_owner(answer)) is not None:
                found[owner[0]] = owner[1]
        if unknown := [prefix for prefix in prefixes if prefix not in found]:
            # There is a more or a better matching one, or one that takes no packets (unreachable, blackhole).
            own = self._own_routes()
            found |= {prefix: ROUTE_PROTOCOL if prefix in own else None for prefix in unknown}
        return found
