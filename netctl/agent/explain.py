"""``explain``: why a prefix or address goes where it goes, and what would happen if a peer failed."""

from __future__ import annotations

from typing import Any

from netctl.agent.arming import survivors
from netctl.agent.decide import Agent
from netctl.agent.peers import FABRIC_RANK, Path, PeerState
from netctl.model.clock import SECOND
from netctl.model.errors import UsageError
from netctl.model.prefix import Prefix, format_address, format_prefix, parse_address, parse_prefix
from netctl.model.routing import KernelState

_IPV4_SIZE = 5


def explain(agent: Agent, text: str, kernel: KernelState, now_ns: int) -> dict[str, Any]:
    """The body of ``explain``; ``found`` is False when neither a peer nor the kernel has a route, ``announced`` holds
    the gateway's own announcements that it is in.

    ``kernel`` is what it has now: everything, or (where that would take long) members and groups alone; then the
    agent's own record of its routes, which follows the kernel's events, stands in for them.
    """
    prefix = _find(agent, text, kernel)
    asked = {"gateway": agent.gateway.name, "asked": text, "announced": _announced(agent, text, prefix)}
    if prefix is None:
        return {**asked, "found": False, "prefix": None, "why": "no peer has a path and the kernel has no route"}
    best = agent.chooser.best(prefix)
    recorded = agent.kernel.fib.programmed(prefix)
    group = kernel.routes.get(prefix) if kernel.routes or recorded is None else recorded[0]
    members = kernel.groups.get(group, ()) if group is not None else ()
    names = {p.settings.member_id: p for p in agent.peers.values()}
    return {
        **asked,
        "found": True,
        "prefix": format_prefix(prefix),
        "paths": [_path_view(agent, peer, prefix, best) for peer in agent.peers.values()],
        "adopted": [p.name for p in agent.peers.values() if agent.chooser.adopted_mask(prefix) & p.bit],
        "kernel": {
            "route": group is not None,
            "group": group,
            "members": [_member_view(kernel, id_, weight, names.get(id_), now_ns) for id_, weight in members],
        },
        "if_failed": [_failure_view(agent, peer, prefix, best) for peer in agent.peers.values()],
    }


def _find(agent: Agent, text: str, kernel: KernelState) -> Prefix | None:
    """The prefix itself, or the longest one that holds the address. Raises UsageError."""
    asked = _parse(text)
    if "/" in text:
        return asked if _known(agent, asked, kernel) else None
    return next((p for length in range(32, -1, -1) if _known(agent, p := _within(asked, length), kernel)), None)


def _parse(text: str) -> Prefix:
    """A prefix, or an address as a prefix of its own. Raises UsageError."""
    hint = "give a prefix like 10.2.0.0/16, an address like 10.2.0.5, or a service in lower case like orders"
    try:
        prefix = parse_prefix(text) if "/" in text else bytes((32,)) + parse_address(text)
    except ValueError as error:
        raise UsageError(str(error), hint) from None
    if len(prefix) != _IPV4_SIZE:
        raise UsageError(f"{text}: IPv4 only for now", hint)
    return prefix


def _within(prefix: Prefix, length: int) -> Prefix:
    """The prefix of that length that holds it."""
    number, shift = int.from_bytes(prefix[1:], "big"), 32 - length
    return bytes((length,)) + ((number >> shift) << shift).to_bytes(4, "big")


def _announced(agent: Agent, text: str, found: Prefix | None) -> list[dict[str, Any]]:
    """The own announcements that what is asked is in, unless a route that was found is longer. The default route, in
    which everything is, only when it is asked for."""
    asked = _parse(text)
    shortest = max(1 if asked[0] else 0, found[0] if found is not None else 0)
    return [
        {
            "prefix": format_prefix(prefix),
            "to": list(to),
            "announced_to": [
                p for p in to if any(r.prefix == prefix for r in agent.announcements.announced.get(p, ()))
            ],
            "when": {name: "unknown" if met is None else "met" if met else "not met" for name, met in when.items()},
        }
        for prefix, to, when in agent.announcements.views()
        if shortest <= prefix[0] <= asked[0] and _within(asked, prefix[0]) == prefix
    ]


def _known(agent: Agent, prefix: Prefix, kernel: KernelState) -> bool:
    recorded = agent.kernel.fib.programmed(prefix) is not None
    return recorded or prefix in kernel.routes or any(peer.path(prefix) is not None for peer in agent.peers.values())


def _path_view(agent: Agent, peer: PeerState, prefix: Prefix, best: int) -> dict[str, Any]:
    path = peer.path(prefix)
    used = bool(best & peer.bit)
    away = peer.member_at if used and peer.member_at != peer.name else None
    view: dict[str, Any] = {"peer": peer.name, "kind": peer.settings.kind, "used": used, "carried_by": away}
    if path is None:
        view["why"] = _why_none(agent, peer, prefix)
        return view
    stale = prefix not in peer.table
    view |= {
        "as_path": list(path.as_path),
        "next_hop": format_address(path.next_hop),
        "med": path.med,
        "communities": list(path.communities),
        "stale": stale,
        "why": _why(agent, peer, path, best) + (" (stale: its source is in doubt)" if stale else ""),
    }
    return view


def _why_none(agent: Agent, peer: PeerState, prefix: Prefix) -> str:
    if agent.chooser.adopted_mask(prefix) & peer.bit:
        return "adopted from the kernel; the peer has not told its whole table yet"
    if not peer.up:
        state = peer.session.state if peer.session is not None else "unknown"
        reason = f" ({peer.session.reason})" if peer.session is not None and peer.session.reason else ""
        return f"its BGP session is {state}{reason}"
    return "it announces no such route"


def _why(agent: Agent, peer: PeerState, path: Path, best: int) -> str:
    if best & peer.bit:
        others = [p.name for p in agent.peers.values() if best & p.bit and p is not peer]
        kind = "fabric route" if path.rank < FABRIC_RANK + (1 << 16) else "shortest AS path"
        return f"{kind}, shared with {', '.join(others)}" if others else kind
    if peer.settings.kind == "provider" and any(
        best & p.bit and p.settings.kind == "fabric" for p in agent.peers.values()
    ):
        return "a fabric route beats provider routes"
    return f"its AS path is longer ({len(path.as_path)})"


def _member_view(kernel: KernelState, member: int, weight: int, peer: PeerState | None, now_ns: int) -> dict[str, Any]:
    via = kernel.members.get(member)
    return {
        "member": member,
        "peer": peer.name if peer is not None else None,
        "weight": weight,
        "via": format_address(via.gateway) if via is not None else None,
        "interface": via.interface if via is not None else None,
        "points_at": peer.member_at if peer is not None else None,
        "for_s": round((now_ns - peer.member_since_ns) / SECOND, 1) if peer is not None and peer.member_at else None,
        "bfd": peer.bfd.state if peer is not None and peer.bfd is not None else None,
    }


def _failure_view(agent: Agent, peer: PeerState, prefix: Prefix, best: int) -> dict[str, Any]:
    """What happens to this prefix when the path to ``peer`` fails silently, and when its session ends."""
    everyone = tuple(agent.peers.values())
    guests = [p for p in everyone if best & p.bit and p is not peer and p.member_at == peer.name]
    moved = [_member_fails(agent, peer, prefix)] if best & peer.bit else []
    for guest in guests:
        fate = _guest_fails(agent, guest, peer)
        if fate or not moved:
            moved.append(f"{guest.name}'s member, which points here, {fate or 'stays: there is no other survivor'}")
    if not best & peer.bit:
        left = "nothing changes"
    else:
        rest = _next_best(everyone, prefix, peer)
        left = f"the route uses {', '.join(rest)}" if rest else "the route goes: nobody else has a path"
    return {"peer": peer.name, "bfd_down": "; ".join(moved) or "nothing changes", "session_ends": left}


def _member_fails(agent: Agent, peer: PeerState, prefix: Prefix) -> str:
    """A used peer's own member when the path to the peer fails silently."""
    at = agent.peers.get(peer.member_at or peer.name, peer)
    if at is not peer:
        has = "has failed: " if peer.bfd_down else ""
        return f"{has}its member points at {at.name} already{_without_path(agent, at, prefix)}"
    if peer.settings.bfd is None:
        return "nobody notices before the BGP hold time is over: the peer has no BFD"
    able = _able(agent, peer)
    if peer.bfd_down:
        return f"has failed: its member {f'is about to point at {able[0].name}' if able else 'has no survivor'}"
    if not able:
        return "everything stays as it is: there is no survivor"
    return f"its member is pointed at {able[0].name} at once{_without_path(agent, able[0], prefix)}"


def _guest_fails(agent: Agent, guest: PeerState, host: PeerState) -> str:
    """The member of another peer when the path fails that it is pointed at; empty: it stays."""
    if not guest.bfd_down:
        return "goes home"
    able = [p for p in _able(agent, guest) if p is not host]
    return f"is pointed at {able[0].name}" if able else ""


def _able(agent: Agent, peer: PeerState) -> list[PeerState]:
    """Who can stand in for a peer now, the first choice first."""
    names = survivors(peer, tuple(agent.peers.values()))
    return [agent.peers[name] for name in names if not agent.peers[name].bfd_down]


def _without_path(agent: Agent, survivor: PeerState, prefix: Prefix) -> str:
    """What to know of a survivor that has not told a path to this prefix; empty when it has."""
    if survivor.path(prefix) is not None or agent.chooser.adopted_mask(prefix) & survivor.bit:
        return ""
    return f", which may not deliver: {_why_none(agent, survivor, prefix)}"


def _next_best(peers: tuple[PeerState, ...], prefix: Prefix, without: PeerState) -> list[str]:
    paths = [(path.rank, p.name) for p in peers if p is not without and (path := p.path(prefix)) is not None]
    best = min((rank for rank, _ in paths), default=0)
    return [name for rank, name in paths if rank == best]
