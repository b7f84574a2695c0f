"""What guards remember across restarts, as one opaque string beside the objects that they protect."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

import msgspec

from netctl.guard.hold import Hold

VERSION = 1
PLAIN_BYTES = 128 * 1024
"""A longer text is packed: a ConfigMap takes 1 MiB, and a registry that is wiped makes a hold for each service."""
_PACKED = "zlib:"
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GuardState:
    """``debits``: minute (wall clock, since the epoch) → tokens. ``holds`` and ``approved`` (service → names) are the
    shrink guard's. ``damaged``: why the stored text could not be read; empty: it could, or there was none."""

    debits: dict[int, int] = field(default_factory=dict)
    holds: tuple[Hold, ...] = ()
    approved: dict[str, tuple[str, ...]] = field(default_factory=dict)
    damaged: str = ""


class _Stored(msgspec.Struct):
    version: int
    debits: dict[int, int]
    holds: tuple[Hold, ...] = ()
    approved: dict[str, tuple[str, ...]] = {}


_DECODER = msgspec.json.Decoder(_Stored)


def encode(state: GuardState) -> str:
    """The same text for the same state."""
    debits = {minute: tokens for minute, tokens in sorted(state.debits.items()) if tokens}
    approved = dict(sorted(state.approved.items()))
    text = msgspec.json.encode(_Stored(VERSION, debits, state.holds, approved))
    if len(text) <= PLAIN_BYTES:
        return text.decode()
    return _PACKED + b64encode(zlib.compress(text, 1)).decode()


def decode(text: object) -> GuardState:
    """``text`` None: nothing was ever stored. Never raises: whatever cannot be read makes a ``damaged`` state."""
    if text is None:
        return GuardState()
    if not isinstance(text, str):
        return GuardState(damaged=f"is a {type(text).__name__}, no text")
    try:
        stored = _DECODER.decode(_unpacked(text) if text.startswith(_PACKED) else text)
    except (msgspec.MsgspecError, RecursionError, zlib.error, ValueError) as error:
        return GuardState(damaged=str(error) or "cannot be read")
    if stored.version != VERSION:
        return GuardState(damaged=f"has version {stored.version}, only {VERSION} is known here")
    if any(tokens < 0 or minute < 0 for minute, tokens in stored.debits.items()):
        return GuardState(damaged="has negative debits")
    return GuardState(stored.debits, stored.holds, stored.approved)


def _unpacked(text: str) -> bytes:
    """Raises zlib.error or ValueError."""
    unpacker = zlib.decompressobj()
    found = unpacker.decompress(b64decode(text.removeprefix(_PACKED), validate=True), _MOST_BYTES)
    if not unpacker.eof:
        raise ValueError("is cut off, or too long")
    return found
