"""What guards remember across restarts, as one opaque string beside the objects that they protect."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from netctl.guard.hold import Hold

VERSION = 1


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
    return msgspec.json.encode(_Stored(VERSION, debits, state.holds, approved)).decode()


def decode(text: object) -> GuardState:
    """``text`` None: nothing was ever stored. Never raises: whatever cannot be read makes a ``damaged`` state."""
    if text is None:
        return GuardState()
    if not isinstance(text, str):
        return GuardState(damaged=f"is a {type(text).__name__}, no text")
    try:
        stored = _DECODER.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        return GuardState(damaged=str(error) or "cannot be read")
    if stored.version != VERSION:
        return GuardState(damaged=f"has version {stored.version}, only {VERSION} is known here")
    if any(tokens < 0 or minute < 0 for minute, tokens in stored.debits.items()):
        return GuardState(damaged="has negative debits")
    return GuardState(stored.debits, stored.holds, stored.approved)
