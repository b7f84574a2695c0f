"""The drills of the routing half: links, agents, sessions. Pure: options and a lab's facts in, an experiment out."""

from __future__ import annotations

from netctl.drill.experiments import Drill, Experiment, Objective, Options, Signal, known
from netctl.drill.facts import Agent, Facts
from netctl.drill.watch import beside_a_cut
from netctl.fault.faults import BgpReset, Fault, LinkCut, ProcessKill
from netctl.model.errors import UsageError

RESET_BOUND_MS = 500.0
"""What flows of the provider whose session is reset may lose: the withdrawal has to reach the far gateway."""


def _provider_cut(options: Options, facts: Facts) -> Experiment:
    provider = known(options.provider, list(facts.provider_links), "provider", facts)
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
        names=beside_a_cut(facts),
    )


def _agent_kill(options: Options, facts: Facts) -> Experiment:
    gateway = known(options.gateway, [agent.gateway for agent in facts.agents], "gateway", facts)
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
    gateway = known(options.gateway, [agent.gateway for agent in facts.agents], "gateway", facts)
    exits = next(g.exits for g in facts.gateways if g.name == gateway)
    return gateway, known(options.peer, sorted(set(exits.values())), "peer", facts)


def _session_fault(drill: str, fault: Fault, options: Options, chosen: dict[str, str]) -> Experiment:
    """One session suffers: the other providers' flows must not notice."""
    bound = RESET_BOUND_MS if options.objective_ms is None else options.objective_ms
    objectives = (Objective(0.0, f"!{chosen['peer']}"), Objective(bound, chosen["peer"]))
    return Experiment(drill, (fault,), objectives, options.duration_s, options=chosen)


def _kill(agent: Agent, signal: Signal) -> ProcessKill:
    return ProcessKill(name=f"agent of {agent.gateway}", pid=agent.pid, started=agent.started, signal=signal)


DRILLS = (
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
