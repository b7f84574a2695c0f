"""The drills, as data. Pure: options and a lab's facts in, an experiment out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from netctl.drill.facts import Agent, Facts
from netctl.fault.faults import BgpReset, Fault, LinkCut, ProcessKill
from netctl.model.errors import UsageError

Signal = Literal["KILL", "STOP"]

OF_EVERY_DRILL = ("duration", "limit", "objective-ms")
"""Options that no drill lists as its own."""
RESET_BOUND_MS = 500.0
"""What flows of the provider whose session is reset may lose: the withdrawal has to reach the far gateway."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line can say; None: not said, the drill chooses."""

    provider: str | None = None
    gateway: str | None = None
    peer: str | None = None
    signal: Signal | None = None
    agents: Signal | None = None
    duration_s: float = 3.0
    objective_ms: float | None = None

    def given(self) -> dict[str, str]:
        """Of those that belong to single drills the ones that were said, by name."""
        said = {"provider": self.provider, "gateway": self.gateway, "peer": self.peer}
        said |= {"signal": self.signal, "agents": self.agents}
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
    """``expected_hit``: a provider whose flows must be hit, or else the fault was none.

    ``options``: those of the drill's own, as they were chosen in the end.
    """

    drill: str
    faults: tuple[Fault, ...]
    objectives: tuple[Objective, ...]
    duration_s: float
    expected_hit: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    def limit_ms(self, provider: str) -> float:
        """What a flow by ``provider`` may lose."""
        return min(o.limit_ms for o in self.objectives if o.covers(provider))


@dataclass(frozen=True, slots=True)
class Drill:
    """One entry of the list. ``options``: those of ``Options`` that mean something to it."""

    name: str
    summary: str
    objective: str
    options: tuple[str, ...]
    build: Callable[[Options, Facts], Experiment]


def _provider_cut(options: Options, facts: Facts) -> Experiment:
    provider = _known(options.provider, list(facts.provider_links), "provider", facts)
    killed: tuple[Fault, ...] = ()
    if options.agents is not None:
        killed = tuple(_kill(agent, options.agents) for agent in facts.agents)
    return Experiment(
        drill="provider-cut",
        faults=(*killed, LinkCut(facts.provider_links[provider])),
        objectives=(Objective(200.0 if options.objective_ms is None else options.objective_ms),),
        duration_s=options.duration_s,
        expected_hit=provider,
        options={**options.given(), "provider": provider},
    )


def _agent_kill(options: Options, facts: Facts) -> Experiment:
    gateway = _known(options.gateway, [agent.gateway for agent in facts.agents], "gateway", facts)
    signal = options.signal or "KILL"
    return Experiment(
        drill="agent-kill",
        faults=tuple(_kill(agent, signal) for agent in facts.agents if agent.gateway == gateway),
        objectives=(Objective(options.objective_ms or 0.0),),
        duration_s=options.duration_s,
        options={"gateway": gateway, "signal": signal},
    )


def _bgp_reset(options: Options, facts: Facts) -> Experiment:
    gateway, peer = _session(options, facts)
    socket = next(agent.socket for agent in facts.agents if agent.gateway == gateway)
    chosen = {"gateway": gateway, "peer": peer}
    return _session_fault("bgp-reset", BgpReset(gateway, peer, socket), options, chosen)


def _speaker_kill(options: Options, facts: Facts) -> Experiment:
    gateway, peer = _session(options, facts)
    speaker = next((s for s in facts.speakers if (s.gateway, s.peer) == (gateway, peer)), None)
    if speaker is None:
        raise UsageError(f"{gateway} runs no speaker for {peer} now", "netctl lab status shows the processes")
    signal = options.signal or "KILL"
    kill = ProcessKill(f"speaker of {gateway} for {peer}", speaker.pid, speaker.started, signal)
    return _session_fault("speaker-kill", kill, options, {"gateway": gateway, "peer": peer, "signal": signal})


def _session(options: Options, facts: Facts) -> tuple[str, str]:
    """The gateway and the provider whose session is meant."""
    gateway = _known(options.gateway, [agent.gateway for agent in facts.agents], "gateway", facts)
    exits = next(g.exits for g in facts.gateways if g.name == gateway)
    return gateway, _known(options.peer, sorted(set(exits.values())), "peer", facts)


def _session_fault(drill: str, fault: Fault, options: Options, chosen: dict[str, str]) -> Experiment:
    """One session suffers: the other providers' flows must not notice."""
    bound = RESET_BOUND_MS if options.objective_ms is None else options.objective_ms
    objectives = (Objective(0.0, f"!{chosen['peer']}"), Objective(bound, chosen["peer"]))
    return Experiment(drill, (fault,), objectives, options.duration_s, options=chosen)


def _kill(agent: Agent, signal: Signal) -> ProcessKill:
    return ProcessKill(name=f"agent of {agent.gateway}", pid=agent.pid, started=agent.started, signal=signal)


def _known(wanted: str | None, there: list[str], what: str, facts: Facts) -> str:
    if wanted is None and there:
        return there[0]
    if wanted not in there:
        missing = f"no {what} {wanted!r}" if wanted else f"no {what}"
        raise UsageError(f"the lab {facts.lab!r} has {missing} for this drill; it has: {', '.join(there) or 'none'}")
    return wanted


DRILLS: dict[str, Drill] = {
    drill.name: drill
    for drill in (
        Drill(
            "provider-cut",
            "silently drop everything on all of one provider's links, then let it return",
            "worst flow at most 200 ms, each direction, at the cut and at the return",
            ("provider", "agents"),
            _provider_cut,
        ),
        Drill(
            "agent-kill",
            "kill -9 or stop one gateway's agent",
            "no packet lost",
            ("gateway", "signal"),
            _agent_kill,
        ),
        Drill(
            "bgp-reset",
            "reset one gateway's BGP session with one provider",
            f"the other provider's flows lose nothing, its own at most {RESET_BOUND_MS:.0f} ms",
            ("gateway", "peer"),
            _bgp_reset,
        ),
        Drill(
            "speaker-kill",
            "kill -9 or stop the ExaBGP of one gateway's session with one provider",
            f"the other provider's flows lose nothing, its own at most {RESET_BOUND_MS:.0f} ms",
            ("gateway", "peer", "signal"),
            _speaker_kill,
        ),
    )
}


def find(name: str) -> Drill:
    """Raises UsageError naming the drills."""
    if name not in DRILLS:
        raise UsageError(f"there is no drill {name!r}", f"drills: {', '.join(DRILLS)}")
    return DRILLS[name]


def flags(names: Sequence[str]) -> str:
    """Names of options as they are typed."""
    return ", ".join(f"--{name}" for name in names)


def check_options(drill: Drill, options: Options) -> None:
    """Raises UsageError naming an option that means nothing to this drill: ignored, it would test something else."""
    for name in options.given():
        if name not in drill.options:
            others = ", ".join(other.name for other in DRILLS.values() if name in other.options)
            raise UsageError(
                f"{drill.name} has no option --{name}, which belongs to {others}",
                f"options of {drill.name}: {flags(drill.options)}; of every drill: {flags(OF_EVERY_DRILL)}",
            )


def check_names(options: Options, facts: Facts) -> None:
    """Raises UsageError for a name that the lab has not got, whatever runs there at this moment."""
    exits = {gateway.name: gateway.exits for gateway in facts.gateways}
    if options.provider is not None:
        _known(options.provider, list(facts.provider_links), "provider", facts)
    gateway = _known(options.gateway, list(exits), "gateway", facts) if options.gateway or options.peer else None
    if options.peer is not None and gateway is not None:
        _known(options.peer, sorted(set(exits[gateway].values())), "peer", facts)
