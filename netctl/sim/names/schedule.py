"""Schedules of the naming world: data, generated from a seed, written to a file, shrunk, replayed."""

from __future__ import annotations

from random import Random
from typing import Literal

import msgspec

from netctl.model.errors import UsageError
from netctl.sim.names.site import CHECKERS, CLUSTERS, CONTROLLERS, INSTANCES, SERVICES, SOURCES

VERSION = 1
FaultKind = Literal[
    "registry_outage",
    "registry_cut",
    "registry_wipe",
    "registry_shrink",
    "registry_restore",
    "registry_compact",
    "deregister",
    "move",
    "rename",
    "bad_entry",
    "bad_key",
    "death",
    "kill",
    "stop",
    "term",
    "cluster_cut",
    "cluster_silent",
    "cluster_status",
    "cluster_slow",
    "cluster_late",
    "api_restart",
    "kube_restore",
    "kube_compact",
    "hand",
    "foreign",
]
HANDS = ("empty_slice", "delete_slice", "unready", "delete_service", "ports", "relabel", "delete_lease", "delete_guard")
"""What somebody's hand does to a service's objects, by the fault's ``value``."""


class NamesFault(msgspec.Struct, frozen=True):
    """One thing that goes wrong at ``at_ms`` and is over ``for_ms`` later.

    ``where`` is a source, an instance (``orders/a1``), a program (``c1``, ``checker-a``), a cluster (``a``), a
    controller's way to a source or a cluster (``c1/vms``, ``c1/a``), or a service in a cluster (``a/orders``).
    ``value``: percent of the keys (registry_shrink), HTTP status, milliseconds of delay, or one of HANDS.
    """

    kind: FaultKind
    where: str
    at_ms: int
    for_ms: int
    value: int = 0

    def __str__(self) -> str:
        extra = f" {HANDS[self.value]}" if self.kind == "hand" else f" {self.value}" if self.value else ""
        return f"{self.at_ms} ms: {self.kind} {self.where}{extra} for {self.for_ms} ms"


class NamesSchedule(msgspec.Struct, frozen=True):
    """Everything that a run depends on. ``budget``: removals in a minute, and in five."""

    seed: int
    max_shrink_percent: int
    budget: tuple[int, int]
    faults: tuple[NamesFault, ...]
    version: int = VERSION
    world: Literal["names"] = "names"


_WAYS = tuple(f"{controller}/{cluster}" for controller in CONTROLLERS for cluster in CLUSTERS)
_PROGRAMS = (*CONTROLLERS, *CHECKERS)
_OBJECTS = tuple(f"{cluster}/{service}" for cluster in CLUSTERS for service in SERVICES)
_WHERE: dict[FaultKind, tuple[str, ...]] = {
    "registry_outage": SOURCES,
    "registry_cut": tuple(f"{controller}/{source}" for controller in CONTROLLERS for source in SOURCES),
    "registry_wipe": SOURCES,
    "registry_shrink": SOURCES,
    "registry_restore": SOURCES,
    "registry_compact": SOURCES,
    "deregister": INSTANCES,
    "move": INSTANCES,
    "rename": INSTANCES,
    "bad_entry": INSTANCES,
    "bad_key": SOURCES,
    "death": INSTANCES,
    "kill": _PROGRAMS,
    "stop": _PROGRAMS,
    "term": CONTROLLERS,
    "cluster_cut": _WAYS,
    "cluster_silent": _WAYS,
    "cluster_status": _WAYS,
    "cluster_slow": _WAYS,
    "cluster_late": _WAYS,
    "api_restart": CLUSTERS,
    "kube_restore": CLUSTERS,
    "kube_compact": CLUSTERS,
    "hand": _OBJECTS,
    "foreign": _OBJECTS,
}
_WEIGHTS: dict[FaultKind, int] = {
    "registry_outage": 3,
    "registry_cut": 2,
    "registry_wipe": 3,
    "registry_shrink": 5,
    "registry_restore": 2,
    "registry_compact": 1,
    "deregister": 6,
    "move": 3,
    "rename": 3,
    "bad_entry": 3,
    "bad_key": 1,
    "death": 6,
    "kill": 8,
    "stop": 6,
    "term": 2,
    "cluster_cut": 3,
    "cluster_silent": 2,
    "cluster_status": 2,
    "cluster_slow": 2,
    "cluster_late": 4,
    "api_restart": 2,
    "kube_restore": 2,
    "kube_compact": 1,
    "hand": 5,
    "foreign": 2,
}
_VALUES: dict[FaultKind, tuple[int, ...]] = {
    "registry_shrink": (10, 30, 60, 100),
    "cluster_status": (500, 503, 429, 403),
    "cluster_slow": (30, 200, 1_200),
    "cluster_late": (300, 2_500, 6_000, 9_000),
    "hand": tuple(range(len(HANDS))),
}
_WEATHERS = ((1, 6, 15_000), (1, 6, 15_000), (4, 9, 25_000), (8, 14, 40_000))
"""At least and at most so many faults that begin within so many milliseconds."""
_DURATIONS_MS = ((100, 1_500), (1_500, 6_000), (6_000, 20_000))
_SHRINKS = (30, 30, 50, 90)
_BUDGETS = ((100, 300), (6, 9), (3, 20), (1, 2))


def generate_names(seed: int) -> NamesSchedule:
    """The schedule of a seed; the same on every machine and in every interpreter."""
    random = Random(f"names/{seed}")
    max_shrink, budget = random.choice(_SHRINKS), random.choice(_BUDGETS)
    kinds = list(_WEIGHTS)
    fewest, most, within_ms = random.choice(_WEATHERS)
    faults = []
    for kind in random.choices(kinds, [_WEIGHTS[kind] for kind in kinds], k=random.randint(fewest, most)):
        shortest, longest = random.choice(_DURATIONS_MS)
        where, at_ms, for_ms = (
            random.choice(_WHERE[kind]),
            random.randint(0, within_ms),
            random.randint(shortest, longest),
        )
        faults.append(NamesFault(kind, where, at_ms, for_ms, random.choice(_VALUES.get(kind, (0,)))))
    return NamesSchedule(seed, max_shrink, budget, tuple(sorted(faults, key=lambda f: (f.at_ms, f.kind, f.where))))


def load_names(data: bytes, source: str) -> NamesSchedule:
    """Raises UsageError naming what is wrong in ``source``."""
    hint = "a schedule is what 'netctl sim run' writes when a seed fails"
    try:
        schedule = msgspec.json.decode(data, type=NamesSchedule)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{source}: {error}", hint) from None
    if schedule.version != VERSION:
        raise UsageError(f"{source}: version {schedule.version} of a schedule is not known here", hint)
    if not 0 <= schedule.max_shrink_percent <= 100 or min(schedule.budget) < 1:
        raise UsageError(f"{source}: max_shrink_percent is 0 to 100, a budget at least 1", hint)
    for fault in schedule.faults:
        if fault.where not in _WHERE[fault.kind]:
            allowed = ", ".join(_WHERE[fault.kind])
            raise UsageError(f"{source}: {fault.kind} at {fault.where!r}: there is no such place", f"one of {allowed}")
        if fault.at_ms < 0 or fault.for_ms < 0 or fault.value < 0:
            raise UsageError(f"{source}: {fault}: times and values are not negative", hint)
        if fault.kind == "hand" and fault.value >= len(HANDS):
            raise UsageError(f"{source}: a hand's value is below {len(HANDS)}", hint)
    return schedule
