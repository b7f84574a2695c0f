"""What ``status`` and ``metrics`` show: plain data made from the agent's state, which it does not change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netctl.agent.children.shell import Supervisor
from netctl.agent.decide import Agent
from netctl.agent.peers import PeerState
from netctl.model.clock import SECOND
from netctl.model.prefix import format_prefix
from netctl.telemetry.metrics import Sample, split_labels

_TOLD_GAUGES = {"bgp_prefixes", "bgp_announced", "memory_locked", "real_time_priority"}
"""Of what other programs tell in Counters, these are no counters."""
_TOLD_DISCARDS = {"bfd_discarded", "bgp_discarded", "exabgp_lines_discarded", "socket_refused", "arms_refused"}
"""And these count what was thrown away."""


def status(agent: Agent, supervisors: Mapping[str, Supervisor], now_ns: int) -> dict[str, Any]:
    """The body of ``status``. ``steady``: nothing is in doubt, away, or waiting to be written."""
    gateway = agent.gateway
    peers = [peer_view(agent, peer, now_ns) for peer in agent.peers.values()]
    fib = agent.kernel.view()
    return {
        "gateway": gateway.name,
        "cloud": gateway.cloud,
        "asn": gateway.asn,
        "router_id": gateway.router_id,
        "runtime_dir": gateway.runtime_dir,
        "steady": _steady(agent, peers, fib) and not any(s.silent_s() for s in supervisors.values()),
        "peers": peers,
        "liveness": {
            "connected": agent.members.connected,
            "armed": agent.members.armed is not None and not agent.members.refusal,
            "arming_refused": agent.members.refusal,
            "generation": agent.members.generation,
        },
        "checks": [
            {"name": name, "verdict": _word(v.passing, "passing", "failing"), "detail": v.detail}
            for name, v in agent.verdicts.items()
        ],
        "announcements": [
            {
                "prefix": format_prefix(prefix),
                "to": list(to),
                "when": {c: _word(met, "met", "not met") for c, met in when.items()},
                "announced_to": [
                    p for p in to if any(r.prefix == prefix for r in agent.announcements.announced.get(p, ()))
                ],
            }
            for prefix, to, when in agent.announcements.views()
        ],
        "fib": fib,
        "children": {name: child_view(supervisor) for name, supervisor in supervisors.items()},
        "refused": dict(agent.refused),
        "counters": agent.counters,
    }


def peer_view(agent: Agent, peer: PeerState, now_ns: int) -> dict[str, Any]:
    """One peer: session, routes, BFD, member."""
    settings, session, bfd = peer.settings, peer.session, peer.bfd
    unknown = "none" if settings.bfd is None else "unknown"
    return {
        "name": peer.name,
        "kind": settings.kind,
        "address": settings.address,
        "interface": settings.interface,
        "asn": settings.asn,
        "speaker": "connected" if peer.connected else "lost",
        "bgp": session.state if session is not None else "unknown",
        "bgp_since": session.since_wall if session is not None else None,
        "bgp_reason": session.reason if session is not None else "",
        "bgp_sessions": session.sessions if session is not None else 0,
        "complete": peer.phase == "complete",
        "routes": len(peer.table),
        "stale": len(peer.stale),
        "bfd": bfd.state if bfd is not None else unknown,
        "bfd_since": bfd.since_wall if bfd is not None else None,
        "bfd_diagnostic": bfd.diagnostic if bfd is not None else "",
        "bfd_detection_ms": bfd.detection_ms if bfd is not None else None,
        "bfd_interval_ms": bfd.interval_ms if bfd is not None else None,
        "bfd_ups": bfd.ups if bfd is not None else 0,
        "bfd_downs": bfd.downs if bfd is not None else 0,
        "member_id": settings.member_id,
        "member_at": peer.member_at,
        "member": "unknown" if peer.member_at is None else "home" if peer.member_at == peer.name else "away",
        "member_for_s": round((now_ns - peer.member_since_ns) / SECOND, 1) if peer.member_at is not None else None,
        "decision_us": peer.decision_us,
        "announced": len(agent.announcements.announced.get(peer.name, ())),
    }


def child_view(supervisor: Supervisor) -> dict[str, Any]:
    process, silent_s = supervisor.process(), supervisor.silent_s()
    return {
        "pid": process.pid if process is not None else None,
        "silent_s": silent_s,
        "state": f"silent for {silent_s:.0f} s" if silent_s else "runs" if process is not None else "unknown",
        "starts": supervisor.starts,
        "last_exit": supervisor.last_exit,
        "log": supervisor.child.log_path,
    }


def _steady(agent: Agent, peers: list[dict[str, Any]], fib: dict[str, Any]) -> bool:
    calm = all(
        p["complete"] and p["stale"] == 0 and p["bfd"] in {"up", "none"} and p["member"] == "home" for p in peers
    )
    return (
        calm
        and agent.members.connected
        and not agent.members.refusal
        and not agent.busy
        and fib["settled"]
        and not fib["waiting"]
        and not fib["refused"]
    )


def _word(value: bool | None, yes: str, no: str) -> str:
    return "unknown" if value is None else yes if value else no


def discarded(agent: Agent, clients_refused: Mapping[str, int]) -> list[dict[str, Any]]:
    """Garbage and what broke a rule: who discarded it, what and why, how often. ``clients_refused``: at the agent's own
    socket, by reason."""
    own = {f"socket_refused{{reason={reason}}}": number for reason, number in clients_refused.items()}
    own |= {f"nonsense{{reason={reason}}}": number for reason, number in agent.refused.items()}
    rows = [{"by": "agent", "what": what, "times": number} for what, number in own.items()]
    for program, values in agent.counters.items():
        told = ((name, int(n)) for name, n in values.items() if split_labels(name)[0] in _TOLD_DISCARDS)
        rows += [{"by": program, "what": name, "times": number} for name, number in told if number]
    return rows


def samples(
    agent: Agent, supervisors: Mapping[str, Supervisor], clients_refused: Mapping[str, int]
) -> Iterator[Sample]:
    """Everything as metrics."""
    gateway = {"gateway": agent.gateway.name}
    for peer in agent.peers.values():
        yield from _peer_samples(peer, {**gateway, "peer": peer.name})
    yield from _kernel_samples(agent, gateway)
    yield from _announcement_samples(agent, gateway)
    yield Sample("netctl_liveness_connected", agent.members.connected, gateway, "Liveness answers")
    for name, supervisor in supervisors.items():
        labels = {**gateway, "child": name}
        yield Sample("netctl_child_starts_total", supervisor.starts, labels, "Times it was started")
        yield Sample("netctl_child_silent_seconds", supervisor.silent_s(), labels, "Living and silent, from 5 s on")
    for reason, number in clients_refused.items():
        labels = {**gateway, "reason": reason}
        yield Sample("netctl_socket_refused_total", number, labels, "Clients of the agent's socket sent away")
    for reason, number in agent.refused.items():
        yield Sample("netctl_nonsense_total", number, {**gateway, "reason": reason}, "Discarded from other programs")
    yield from _told_samples(agent, gateway)


def _told_samples(agent: Agent, gateway: dict[str, str]) -> Iterator[Sample]:
    """What liveness and the speakers count, under their own names."""
    for program, values in agent.counters.items():
        kind, _, peer = program.partition("-")
        place = {**gateway, "program": kind} | ({"peer": peer} if peer else {})
        for name, value in values.items():
            base, labels = split_labels(name)
            metric = f"netctl_{kind}_{base}" if base in _TOLD_GAUGES else f"netctl_{kind}_{base}_total"
            yield Sample(metric, value, {**place, **labels}, f"As told by {kind}")


def _kernel_samples(agent: Agent, gateway: dict[str, str]) -> Iterator[Sample]:
    fib = agent.kernel.view()
    yield Sample("netctl_routes", fib["routes"], gateway, "Prefixes programmed in the kernel")
    yield Sample("netctl_routes_pending", fib["pending"], gateway, "Prefixes that wait to be written")
    yield Sample("netctl_groups", fib["groups"], gateway, "ECMP groups in the kernel")
    for op, number in fib["operations"].items():
        yield Sample("netctl_fib_operations_total", number, {**gateway, "op": op}, "Kernel operations asked for")
    for reason, number in fib["refused_total"].items():
        yield Sample("netctl_fib_refused_total", number, {**gateway, "reason": reason}, "Kernel operations refused")


def _announcement_samples(agent: Agent, gateway: dict[str, str]) -> Iterator[Sample]:
    for name, verdict in agent.verdicts.items():
        if verdict.passing is not None:
            yield Sample("netctl_check_passing", verdict.passing, {**gateway, "check": name}, "Health check's verdict")
    for prefix, to, _ in agent.announcements.views():
        for peer_name in to:
            announced = any(r.prefix == prefix for r in agent.announcements.announced.get(peer_name, ()))
            labels = {**gateway, "peer": peer_name, "prefix": format_prefix(prefix)}
            yield Sample("netctl_announced", announced, labels, "Whether the prefix is announced to the peer")


def _peer_samples(peer: PeerState, labels: dict[str, str]) -> Iterator[Sample]:
    yield Sample("netctl_bgp_session_up", peer.up, labels, "BGP session is Established")
    yield Sample("netctl_bgp_table_complete", peer.phase == "complete", labels, "The peer's whole table is known")
    yield Sample("netctl_bgp_prefixes", len(peer.table), labels, "Prefixes learned from the peer")
    yield Sample("netctl_bgp_prefixes_stale", len(peer.stale), labels, "Prefixes whose source is in doubt")
    if peer.session is not None:
        yield Sample("netctl_bgp_sessions_total", peer.session.sessions, labels, "Times the session came up")
    if peer.bfd is not None:
        yield Sample("netctl_bfd_session_up", peer.bfd.state == "up", labels, "BFD session is Up")
        yield Sample("netctl_bfd_downs_total", peer.bfd.downs, labels, "Times the BFD session went down")
        yield Sample("netctl_bfd_detection_seconds", peer.bfd.detection_ms / 1e3, labels, "Negotiated detection time")
    if peer.member_at is not None:
        yield Sample("netctl_member_home", peer.member_at == peer.name, labels, "The member points at its own peer")
        help_text = "From liveness's last decision to the kernel's answer"
        yield Sample("netctl_failover_decision_seconds", peer.decision_us / 1e6, labels, help_text)
