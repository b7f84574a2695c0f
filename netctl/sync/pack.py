"""Which endpoint goes into which slice: as few slices touched as can be.

An endpoint stays in the slice where it is. New ones go first into slices that change anyway, then into the fullest
that has room for all of them, else into what room there is, the fullest first; last, into a slice of their own. A
slice that nothing is left in takes over what would else need a new one of its address type (its ports may change).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from netctl.model.kube import Obj
from netctl.sync.objects import Group, Slice, instance_of

MAX_ENDPOINTS = 100
"""Per slice; what Kubernetes' own controllers fill them to (1000 is the API server's limit)."""


@dataclass(slots=True)
class Bin:
    """What one slice shall hold. ``observed`` None: it is to be created. No endpoints: it is to be deleted."""

    observed: Slice | None
    family: str
    group: Group | None
    endpoints: list[Any]
    touched: bool

    @property
    def room(self) -> int:
        return max(MAX_ENDPOINTS - len(self.endpoints), 0)

    def fill(self, waiting: dict[str, Obj]) -> None:
        """Move as many as fit out of ``waiting``."""
        names = list(islice(waiting, self.room))
        self.endpoints += [waiting.pop(name) for name in names]
        self.touched = self.touched or bool(names)


def pack(wanted: Mapping[Group, Mapping[str, Obj]], slices: Sequence[Slice]) -> list[Bin]:
    """``wanted``: group → instance name → endpoint data; ``slices``: our own, observed. One bin for each slice that
    there is, in order, then the new ones."""
    waiting = {group: dict(endpoints) for group, endpoints in wanted.items()}
    bins = [_keep(observed, waiting) for observed in sorted(slices, key=lambda s: (s.number, s.name))]
    for group, left in waiting.items():
        if left:
            _fill(left, [one for one in bins if one.group == group])
    for group, left in waiting.items():
        for one in bins:
            if left and not one.endpoints and one.family == group[0]:
                one.group = group
                one.fill(left)
        while left:
            new = Bin(None, group[0], group, [], touched=True)
            new.fill(left)
            bins.append(new)
    return bins


def _keep(observed: Slice, waiting: Mapping[Group, dict[str, Obj]]) -> Bin:
    """What of a slice stays in it. Of an instance that is in two slices the first one keeps it."""
    left = waiting.get(observed.group) if observed.group is not None else None
    kept: list[Any] = []
    if left:
        for raw in observed.endpoints:
            if len(kept) == MAX_ENDPOINTS:
                break
            if (endpoint := left.pop(instance_of(raw), None)) is not None:
                kept.append(endpoint)
    return Bin(observed, observed.family, observed.group, kept, touched=kept != observed.endpoints)


def _fill(left: dict[str, Obj], bins: Iterable[Bin]) -> None:
    open_bins = sorted((one for one in bins if one.room), key=lambda one: one.room)
    for one in open_bins:
        if one.touched:
            one.fill(left)
    untouched = [one for one in open_bins if not one.touched]
    fitting = [one for one in untouched if one.room >= len(left)]
    for one in [*fitting[:1], *untouched]:
        if left:
            one.fill(left)
