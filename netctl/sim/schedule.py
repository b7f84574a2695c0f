"""Fault schedules: data, generated from a seed, written to a file, shrunk, replayed."""

from __future__ import annotations

from random import Random
from typing import Literal

import msgspec

from netctl.model.errors import UsageError

VERSION = 1
FaultKind = Literal[
    "cut",
    "cut_from",
    "cut_to",
    "carrier",
    "loss",
    "kill",
    "stop",
    "reset",
    "bgp_silence",
    "provider_restart",
    "disk_full",
]
GATEWAYS = ("ga1", "gb1")
PROVIDERS = ("pa", "pb")
LINKS = tuple(f"{gateway}-{provider}" for gateway in GATEWAYS for provider in PROVIDERS)
PROGRAMS = ("agent", "liveness", "speaker-pa", "speaker-pb")
_DETECTIONS = ((50, 3), (50, 3), (100, 3), (300, 3))
_WEATHERS = ((1, 6, 20_000), (1, 6, 20_000), (1, 6, 20_000), (7, 12, 40_000))
"""At least and at most so many faults that begin within so many milliseconds: calm thrice as often as storm."""
_DURATIONS_MS = ((200, 1_500), (1_500, 5_000), (5_000, 14_000))


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong at ``at_ms`` and is over ``for_ms`` later.

    ``where`` is a link (``ga1-pa``), a program (``ga1/agent``), a provider or a gateway. ``cut_from``/``cut_to`` cut
    one way only, seen from the gateway; ``carrier`` cuts both and the gateway's kernel sees it. ``kill`` of an agent:
    it is started again after ``for_ms`` (other programs by their agent). ``value``: percent of loss.
    """

    kind: FaultKind
    where: str
    at_ms: int
    for_ms: int
    value: int = 0

    def __str__(self) -> str:
        extra = f" {self.value} %" if self.value else ""
        return f"{self.at_ms} ms: {self.kind} {self.where}{extra} for {self.for_ms} ms"


class Schedule(msgspec.Struct, frozen=True):
    """Everything that a run depends on."""

    seed: int
    interval_ms: int
    multiplier: int
    faults: tuple[Fault, ...]
    version: int = VERSION


_WHERE: dict[FaultKind, tuple[str, ...]] = {
    "cut": LINKS,
    "cut_from": LINKS,
    "cut_to": LINKS,
    "carrier": LINKS,
    "loss": LINKS,
    "kill": tuple(f"{gateway}/{program}" for gateway in GATEWAYS for program in PROGRAMS),
    "stop": tuple(f"{gateway}/{program}" for gateway in GATEWAYS for program in PROGRAMS),
    "reset": LINKS,
    "bgp_silence": LINKS,
    "provider_restart": PROVIDERS,
    "disk_full": GATEWAYS,
}
_WEIGHTS: dict[FaultKind, int] = {
    "cut": 6,
    "cut_from": 2,
    "cut_to": 2,
    "carrier": 2,
    "loss": 2,
    "kill": 5,
    "stop": 3,
    "reset": 2,
    "bgp_silence": 1,
    "provider_restart": 1,
    "disk_full": 1,
}


def generate(seed: int) -> Schedule:
    """The schedule of a seed; the same on every machine and in every interpreter."""
    random = Random(f"schedule/{seed}")
    interval_ms, multiplier = random.choice(_DETECTIONS)
    kinds = list(_WEIGHTS)
    fewest, most, within_ms = random.choice(_WEATHERS)
    faults = []
    for kind in random.choices(kinds, [_WEIGHTS[kind] for kind in kinds], k=random.randint(fewest, most)):
        shortest, longest = random.choice(_DURATIONS_MS)
        faults.append(
            Fault(
                kind,
                random.choice(_WHERE[kind]),
                random.randint(0, within_ms),
                random.randint(shortest, longest),
                random.choice((1, 5, 20, 50)) if kind == "loss" else 0,
            )
        )
    return Schedule(seed, interval_ms, multiplier, tuple(sorted(faults, key=lambda f: (f.at_ms, f.kind, f.where))))


def dump(schedule: Schedule) -> bytes:
    """As indented JSON."""
    return msgspec.json.format(msgspec.json.encode(schedule), indent=2) + b"\n"


def load(data: bytes, source: str) -> Schedule:
    """Raises UsageError naming what is wrong in ``source``."""
    hint = "a schedule is what 'netctl sim run' writes when a seed fails"
    try:
        schedule = msgspec.json.decode(data, type=Schedule)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{source}: {error}", hint) from None
    if schedule.version != VERSION:
        raise UsageError(f"{source}: version {schedule.version} of a schedule is not known here", hint)
    if schedule.interval_ms < 1 or schedule.multiplier < 1:
        raise UsageError(f"{source}: interval_ms and multiplier must be at least 1", hint)
    for fault in schedule.faults:
        if fault.where not in _WHERE[fault.kind]:
            allowed = ", ".join(_WHERE[fault.kind])
            raise UsageError(f"{source}: {fault.kind} at {fault.where!r}: there is no such place", f"one of {allowed}")
        if fault.at_ms < 0 or fault.for_ms < 0:
            raise UsageError(f"{source}: {fault}: times are not negative", hint)
    return schedule
