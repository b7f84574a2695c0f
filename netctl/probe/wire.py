"""The probe's packet: magic, flow number, sequence; 16 bytes of UDP payload, big-endian."""

from __future__ import annotations

import struct

MAGIC = 0x6E747072
_PACKET = struct.Struct("!IIQ")
SIZE = _PACKET.size


def encode(flow: int, sequence: int) -> bytes:
    """One packet of flow number ``flow``; the send time is in the sender's log (same process), not in the packet."""
    return _PACKET.pack(MAGIC, flow, sequence)


def decode(data: bytes) -> tuple[int, int] | None:
    """(flow number, sequence), or None for anything that is not one of ours."""
    if len(data) != SIZE:
        return None
    magic, flow, sequence = _PACKET.unpack(data)
    return (flow, sequence) if magic == MAGIC else None
