"""Routes whose source is in doubt, each with the end of its time, which nothing but being told again moves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netctl.agent.peers import Path
    from netctl.model.prefix import Prefix

_COHORTS = 8


class Stale:
    """The stale routes of one peer: a few dictionaries, one for each time at which routes became stale."""

    def __init__(self, bound_ns: int) -> None:
        self._bound_ns = bound_ns
        self._cohorts: list[tuple[int, dict[Prefix, Path]]] = []
        """(deadline, routes), the earliest first; no prefix is in two of them."""

    def keep(self, routes: dict[Prefix, Path], now_ns: int) -> None:
        """These become stale now. What follows an earlier loss closely shares its deadline, so that a source that
        comes and goes makes no more than a few cohorts. What was stale before and is fresh by now must not be here."""
        if not routes:
            return
        deadline_ns = now_ns + self._bound_ns
        self._cohorts = [cohort for cohort in self._cohorts if cohort[1]]
        if self._cohorts and deadline_ns - self._cohorts[-1][0] < self._bound_ns // _COHORTS:
            self._cohorts[-1][1].update(routes)
        else:
            self._cohorts.append((deadline_ns, routes))

    def get(self, prefix: Prefix) -> Path | None:
        for _, routes in self._cohorts:
            if (path := routes.get(prefix)) is not None:
                return path
        return None

    def pop(self, prefix: Prefix) -> Path | None:
        """Take one out: it was told again, or is known to be gone."""
        for _, routes in self._cohorts:
            if prefix in routes:
                return routes.pop(prefix)
        return None

    def take(self, until_ns: int | None = None) -> Iterator[Prefix] | None:
        """Take out those whose time is over at ``until_ns``, or all; None when there are none. The table may be big:
        nothing is copied."""
        gone = [routes for deadline_ns, routes in self._cohorts if until_ns is None or deadline_ns <= until_ns]
        self._cohorts = self._cohorts[len(gone) :]  # the earliest come first
        return chain.from_iterable(gone) if any(gone) else None

    def slept(self, gap_ns: int) -> None:
        """Nobody listened for that long: it does not count."""
        self._cohorts = [(deadline_ns + gap_ns, routes) for deadline_ns, routes in self._cohorts]

    @property
    def deadline_ns(self) -> int | None:
        """When the first of them are over."""
        return next((deadline_ns for deadline_ns, routes in self._cohorts if routes), None)

    def __bool__(self) -> bool:
        return any(routes for _, routes in self._cohorts)

    def __len__(self) -> int:
        return sum(len(routes) for _, routes in self._cohorts)
