"""etcd's JSON gateway as data: what it answers.

The gateway writes 64-bit numbers as texts and bytes as base64 and leaves out what is zero. A stream (watch, lease
keep-alive) is one JSON object a line. Source: etcd v3.4 rpc.proto, grpc-gateway's streaming of responses.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from netctl.model.ports import Changed
from netctl.names.entries import MAX_VALUE_BYTES


class Header(Struct, frozen=True):
    revision: str = "0"


class KeyValue(Struct, frozen=True):
    key: bytes
    value: bytes = b""
    mod_revision: str = "0"


class RangeReply(Struct, frozen=True):
    header: Header
    kvs: list[KeyValue] = []
    more: bool = False
    count: str = "0"


class PutReply(Struct, frozen=True):
    header: Header


class DeleteReply(Struct, frozen=True):
    header: Header
    deleted: str = "0"


class LeaseReply(Struct, frozen=True):
    ID: str = "0"
    TTL: str = "0"


class LeaseStream(Struct, frozen=True):
    result: LeaseReply = LeaseReply()


class TokenReply(Struct, frozen=True):
    token: str


class WatchEvent(Struct, frozen=True):
    kv: KeyValue
    type: str = "PUT"


class WatchReply(Struct, frozen=True):
    header: Header = Header()
    created: bool = False
    canceled: bool = False
    compact_revision: str = "0"
    cancel_reason: str = ""
    events: list[WatchEvent] = []


class StreamError(Struct, frozen=True):
    message: str = ""


class WatchLine(Struct, frozen=True):
    """One line of a watch: a reply, or why the stream ends."""

    result: WatchReply | None = None
    error: StreamError | None = None


class ErrorReply(Struct, frozen=True):
    message: str = ""
    code: int = 0


def prefix_end(prefix: bytes) -> bytes:
    """The first key after all those with a prefix; ``\\0`` means the end of everything (rpc.proto, range_end)."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else b"\0"


def entry(kv: KeyValue, prefix: bytes) -> tuple[str, bytes]:
    """A registry's key and value. Keys are one-to-one whatever their bytes; of a value that is too long for an entry
    only as much is kept as shows it."""
    return kv.key[len(prefix) :].decode("utf-8", "surrogateescape"), kv.value[: MAX_VALUE_BYTES + 1]


def changes(events: Iterable[WatchEvent], prefix: bytes) -> list[Changed]:
    """The events of each revision as one Changed, in order. Within a revision the last word on a key counts."""
    moments: dict[int, dict[str, bytes | None]] = {}
    for event in events:
        key, value = entry(event.kv, prefix)
        moments.setdefault(int(event.kv.mod_revision), {})[key] = None if event.type == "DELETE" else value
    return [
        Changed(
            {key: value for key, value in last.items() if value is not None},
            frozenset(key for key, value in last.items() if value is None),
            revision,
        )
        for revision, last in moments.items()
    ]
