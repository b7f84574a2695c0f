"""What an experiment is, as data: faults, objectives, what is measured. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from netctl.drill.facts import Facts, NamesFacts
from netctl.drill.watch import NamesWatch
from netctl.fault.faults import Fault
from netctl.model.errors import EnvironmentLackError, UsageError

Signal = Literal["KILL", "STOP"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line can say; None: not said, the drill chooses."""

    provider: str | None = None
    gateway: str | None = None
    peer: str | None = None
    signal: Signal | None = None
    agents: Signal | None = None
    vm: str | None = None
    cloud: str | None = None
    controller: str | None = None
    duration_s: float = 3.0
    objective_ms: float | None = None

    def given(self) -> dict[str, str]:
        """Of those that belong to single drills the ones that were said, by name."""
        said = {"provider": self.provider, "gateway": self.gateway, "peer": self.peer}
        said |= {"signal": self.signal, "agents": self.agents}
        said |= {"vm": self.vm, "cloud": self.cloud, "controller": self.controller}
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Objective:
    """For flows by ``via`` (a provider; None: all; ``!NAME``: all but NAME): the worst outage, 0: no packet lost."""

    limit_ms: float
    via: str | None = None

    def covers(self, provider: str) -> bool:
        if self.via is None:
            return True
        return provider != self.via[1:] if self.via.startswith("!") else provider == self.via


@dataclass(frozen=True, slots=True)
class Experiment:
    """``objectives`` are those of flows; () : none is measured. ``names``: what is asked by name; None: nothing.

    ``expected_hit``: a provider whose flows must be hit, or else the fault was none. ``options``: those of the drill's
    own, as they were chosen in the end.
    """

    drill: str
    faults: tuple[Fault, ...]
    objectives: tuple[Objective, ...]
    duration_s: float
    expected_hit: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    names: NamesWatch | None = None

    @property
    def objective_ms(self) -> float:
        """The objective in one figure: the longest interruption that may be."""
        if self.objectives:
            return max(objective.limit_ms for objective in self.objectives)
        return self.names.objective_ms if self.names is not None else 0.0

    def limit_ms(self, provider: str) -> float:
        """What a flow by ``provider`` may lose."""
        return min(o.limit_ms for o in self.objectives if o.covers(provider))


@dataclass(frozen=True, slots=True)
class Drill:
    """One entry of the list. ``options``: those of ``Options`` that mean something to it. ``duration_s``: how long its
    fault stays when nothing is said. ``needs_names``: it is about the naming half."""

    name: str
    summary: str
    objective: str
    options: tuple[str, ...]
    build: Callable[[Options, Facts], Experiment]
    duration_s: float = 3.0
    needs_names: bool = False


def known(wanted: str | None, there: list[str], what: str, facts: Facts) -> str:
    """``wanted``, or the first there is. Raises UsageError naming those there are."""
    if wanted is None and there:
        return there[0]
    if wanted not in there:
        missing = f"{wanted!r} is no {what} in the lab" if wanted else f"there is no {what} in the lab"
        raise UsageError(f"{missing} {facts.lab!r} for this drill; it has: {', '.join(there) or 'none'}")
    return wanted


def naming_half(facts: Facts) -> NamesFacts:
    """Raises EnvironmentLackError when the lab has only its routing half."""
    if facts.names is None:
        name = "" if facts.lab == "lab" else f" --name {facts.lab}"
        raise EnvironmentLackError(f"the naming half of the lab {facts.lab!r} is not up", f"netctl lab up{name}")
    return facts.names
