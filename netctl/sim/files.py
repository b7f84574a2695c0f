"""Schedules as files, of whichever world."""

from __future__ import annotations

import msgspec

from netctl.sim.names.schedule import NamesSchedule, load_names
from netctl.sim.schedule import Schedule, load


class _Head(msgspec.Struct):
    world: str = "routing"


def dump_any(schedule: Schedule | NamesSchedule) -> bytes:
    """As indented JSON."""
    return msgspec.json.format(msgspec.json.encode(schedule), indent=2) + b"\n"


def load_any(data: bytes, source: str) -> Schedule | NamesSchedule:
    """Raises UsageError naming what is wrong in ``source``."""
    try:
        names = msgspec.json.decode(data, type=_Head).world == "names"
    except (msgspec.DecodeError, UnicodeDecodeError):
        names = False
    return load_names(data, source) if names else load(data, source)
