"""A peer's table and its changes → messages for the clients."""

from __future__ import annotations

from collections.abc import Iterator

from netctl.bgp.events import Attributes
from netctl.bgp.table import CHUNK, Delta, Table
from netctl.ipc.messages import Complete, Counters, Message, Routes, SessionState, Withdrawn


def changes(next_hop: bytes, delta: Delta) -> list[Message]:
    """One update's changes: withdrawals first; at most CHUNK prefixes in a message."""
    gone = delta.withdrawn
    messages: list[Message] = [Withdrawn(b"".join(gone[at : at + CHUNK])) for at in range(0, len(gone), CHUNK)]
    for attributes, prefixes in delta.changed:
        keys = (b"".join(prefixes[at : at + CHUNK]) for at in range(0, len(prefixes), CHUNK))
        messages += [_routes(next_hop, attributes, joined) for joined in keys]
    return messages


def snapshot(
    session: SessionState, table: Table, complete: Complete | None, counters: dict[str, float]
) -> Iterator[Message]:
    """Everything that a new client has to know, as it is at this call; it may be consumed later and slowly."""
    return _snapshot(session, table.next_hop, table.chunks(), complete, counters)


def _snapshot(
    session: SessionState,
    next_hop: bytes,
    chunks: Iterator[tuple[Attributes, bytes]],
    complete: Complete | None,
    counters: dict[str, float],
) -> Iterator[Message]:
    yield session
    for attributes, keys in chunks:
        yield _routes(next_hop, attributes, keys)
    if complete is not None:
        yield complete
    yield Counters(counters)


def _routes(next_hop: bytes, attributes: Attributes, keys: bytes) -> Routes:
    return Routes(next_hop, attributes.as_path, keys, attributes.med, attributes.communities, attributes.origin)
