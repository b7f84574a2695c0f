"""ExaBGP 5.0's lines (encoder json, parsed updates, compact NLRI) → events. One line, at most one event.

Speed: about a microsecond per prefix. Attributes come as a raw slice of the line and are decoded once per distinct
slice; the line's other members are skipped by msgspec without being built.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from netctl.bgp.events import (
    Attributes,
    Connected,
    Down,
    EndOfRib,
    Event,
    Neighbours,
    Notified,
    Opened,
    Refresh,
    Stopping,
    Told,
    Up,
    Updated,
)
from netctl.model.errors import PeerError
from netctl.model.prefix import Prefix, parse_address

_FAMILY = "ipv4 unicast"
_MAX_INTERNED = 65_536
_HOST_MASKS = tuple((1 << (32 - length)) - 1 for length in range(33))


class _Segment(Struct):
    element: str
    value: list[int]


class _Extended(Struct):
    value: int
    string: str = ""


class _Attributes(Struct, rename="kebab"):
    origin: str = "igp"
    as_path: dict[str, _Segment] = field(default_factory=dict)
    med: int = 0
    community: list[list[int] | str] = field(default_factory=list)
    large_community: list[list[int] | str] = field(default_factory=list)
    extended_community: list[_Extended] = field(default_factory=list)


class _Update(Struct):
    attribute: Raw | UnsetType = UNSET
    announce: dict[str, dict[str, list[str]]] | UnsetType = UNSET
    withdraw: dict[str, list[str]] | UnsetType = UNSET


class _Family(Struct):
    afi: str = ""
    safi: str = ""
    subtype: str = ""


class _Message(Struct):
    update: _Update | UnsetType = UNSET
    eor: _Family | UnsetType = UNSET


class _Open(Struct):
    asn: int
    hold_time: int
    router_id: str
    capabilities: dict[str, Any] = field(default_factory=dict)


class _Notification(Struct):
    code: int
    subcode: int
    data: str = "0x"


class _Neighbor(Struct, rename={"refresh": "route-refresh"}):
    state: str = ""
    reason: str = ""
    direction: str = ""
    message: _Message | UnsetType = UNSET
    open: _Open | UnsetType = UNSET
    notification: _Notification | UnsetType = UNSET
    refresh: _Family | UnsetType = UNSET


class _Line(Struct):
    type: str
    neighbor: _Neighbor | UnsetType = UNSET
    notification: str = ""


class Reader:
    """Decodes lines; keeps the interned attributes, so use one per peer."""

    def __init__(self) -> None:
        self._line = msgspec.json.Decoder(_Line)
        self._attributes = msgspec.json.Decoder(_Attributes)
        self._interned: dict[bytes, Attributes] = {}

    def read(self, line: bytes) -> Event | None:
        """The line's event, or None when it means nothing here (keepalives, other families, answers to commands).

        Raises PeerError (``exabgp_line_undecodable``) on anything that ExaBGP does not write.
        """
        if not line.startswith(b"{"):
            return _read_plain(line)
        try:
            decoded = self._line.decode(line)
            if isinstance(decoded.neighbor, _Neighbor):
                return self._read_neighbor(decoded.type, decoded.neighbor)
        except (msgspec.DecodeError, ValueError, IndexError, RecursionError) as error:
            raise PeerError("exabgp_line_undecodable", f"{error}: {line[:200]!r}") from None
        return Stopping() if decoded.notification == "shutdown" else None

    def _read_neighbor(self, kind: str, neighbor: _Neighbor) -> Event | None:
        if isinstance(neighbor.message, _Message):
            return self._read_message(neighbor.message)
        if kind == "state":
            return _read_state(neighbor)
        if isinstance(neighbor.open, _Open):
            return _read_open(neighbor.open)
        if isinstance(neighbor.notification, _Notification):
            return _read_notification(neighbor.notification, neighbor.direction)
        if isinstance(neighbor.refresh, _Family) and neighbor.refresh.subtype in {"begin", "end"}:
            return Refresh("begin" if neighbor.refresh.subtype == "begin" else "end")
        return None

    def _read_message(self, message: _Message) -> Event | None:
        if isinstance(message.update, _Update):
            return self._read_update(message.update)
        eor = message.eor
        return EndOfRib() if isinstance(eor, _Family) and f"{eor.afi} {eor.safi}" == _FAMILY else None

    def _read_update(self, update: _Update) -> Updated:
        withdrawn: list[Prefix] = []
        announced: list[tuple[bytes, Attributes, list[Prefix]]] = []
        if isinstance(update.withdraw, dict) and (gone := update.withdraw.get(_FAMILY)):
            withdrawn = _keys(gone)
        if isinstance(update.announce, dict) and (by_next_hop := update.announce.get(_FAMILY)):
            attributes = self._intern(bytes(update.attribute) if isinstance(update.attribute, Raw) else b"{}")
            announced.extend((parse_address(hop), attributes, _keys(texts)) for hop, texts in by_next_hop.items())
        return Updated(withdrawn, announced)

    def _intern(self, raw: bytes) -> Attributes:
        known = self._interned.get(raw)
        if known is None:
            if len(self._interned) >= _MAX_INTERNED:
                self._interned.clear()
            known = self._interned[raw] = _build_attributes(self._attributes.decode(raw))
        return known


def _read_plain(line: bytes) -> Event | None:
    """What ExaBGP writes without braces: answers to our own commands."""
    words = line.split()
    if words in ([b"done"], [b"error"]) or line.endswith(b" in progress"):
        return None
    try:
        if line.startswith(b"["):
            return _read_neighbours(msgspec.json.decode(line))
        if len(words) >= 4 and words[1:3] == [b"ipv4", b"unicast"]:
            return Told(_keys([words[3].decode()])[0])
    except (msgspec.DecodeError, ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise PeerError("exabgp_line_undecodable", repr(line[:200]))


def _read_neighbours(peers: list[dict[str, Any]]) -> Neighbours:
    if not peers:
        return Neighbours(False, "")
    established = peers[0]["fsm"] == "ESTABLISHED"
    return Neighbours(established, str(peers[0]["peer"].get("id") or "") if established else "")


def _read_state(neighbor: _Neighbor) -> Event:
    if neighbor.state == "up":
        return Up()
    if neighbor.state == "connected":
        return Connected()
    if neighbor.state == "down":
        return Down(neighbor.reason)
    raise ValueError(f"unknown state {neighbor.state!r}")


def _read_open(message: _Open) -> Opened:
    asn4 = message.capabilities.get("65")  # RFC 6793: the number in the fixed part has only 16 bits
    asn = asn4["asn4"] if isinstance(asn4, dict) and isinstance(asn4.get("asn4"), int) else message.asn
    return Opened(asn, message.router_id, message.hold_time)


def _read_notification(note: _Notification, direction: str) -> Notified:
    data = bytes.fromhex(note.data.removeprefix("0x"))
    return Notified("send" if direction == "send" else "receive", note.code, note.subcode, data)


def _keys(texts: list[str]) -> list[Prefix]:
    """Texts → keys; bits beyond the length are cleared (RFC 4271 4.3: their value is irrelevant)."""
    keys: list[Prefix] = []
    masks = _HOST_MASKS
    for text in texts:
        address, _, length = text.partition("/")
        a, b, c, d = address.split(".")
        key = bytes((int(length), int(a), int(b), int(c), int(d)))  # ValueError beyond 255
        if int.from_bytes(key, "big") & masks[key[0]]:
            packed = int.from_bytes(key, "big")
            key = (packed ^ (packed & masks[key[0]])).to_bytes(5, "big")
        keys.append(key)
    return keys


def _build_attributes(raw: _Attributes) -> Attributes:
    path: list[int] = []
    seen: set[int] = set()
    for segment in raw.as_path.values():
        seen.update(segment.value)
        if segment.element == "as-sequence":
            path += segment.value
        elif segment.element == "as-set" and segment.value:
            path.append(min(segment.value))
    communities = [_community(value) for value in (*raw.community, *raw.large_community)]
    communities += [extended.string or f"0x{extended.value:016x}" for extended in raw.extended_community]
    return Attributes(tuple(path), frozenset(seen), raw.med, tuple(communities), raw.origin)


def _community(value: list[int] | str) -> str:
    return value if isinstance(value, str) else ":".join(map(str, value))
