"""I8's fixpoint: what is still not as it is meant to be."""

from __future__ import annotations

from collections.abc import Iterator

from netctl.bfd.session import Session, State
from netctl.model.clock import MS
from netctl.model.prefix import format_prefix, parse_address
from netctl.model.routing import Via
from netctl.sim.gateway import SimGateway
from netctl.sim.memory import PROGRAMS
from netctl.sim.topology import own_prefixes, remote_prefixes
from netctl.sim.world import World


def unrest(world: World) -> str:
    """What is not as it is meant to be, one reason; "" when the world is at rest in its desired state."""
    return next((reason for gateway in world.gateways.values() for reason in _unrest(world, gateway)), "")


def _unrest(world: World, gateway: SimGateway) -> Iterator[str]:
    state, name = gateway.kernel.dump(), gateway.name
    for program in PROGRAMS:
        if not gateway.runs(program):
            yield f"{name}/{program} does not run"
    for peer in gateway.settings.peers:
        home = Via(parse_address(peer.address), peer.interface)
        if state.members.get(peer.member_id) != home:
            yield f"{name}: the member of {peer.name} is not home"
        yield from _peer_unrest(world, gateway, peer.name)
    both = tuple(sorted((peer.member_id, peer.weight) for peer in gateway.settings.peers))
    for prefix in remote_prefixes(name):
        group = state.groups.get(state.routes.get(prefix, 0))
        if group != both:
            yield f"{name}: {format_prefix(prefix)} goes to {group}, not to both providers"
    if extra := state.routes.keys() - set(remote_prefixes(name)):
        yield f"{name}: routes that nobody wants: {sorted(map(format_prefix, extra))}"
    if len(state.groups) > 1:
        yield f"{name}: {len(state.groups)} groups, one is wanted"


def _peer_unrest(world: World, gateway: SimGateway, provider: str) -> Iterator[str]:
    daemon, speaker, session = (
        world.providers[provider],
        gateway.speaker(provider),
        gateway.bfd_session(provider),
    )
    if speaker is None or not speaker.up:
        yield f"{gateway.name}: no BGP session with {provider}"
    if not world.bfd_up(gateway.name, provider) or session is None or session.state is not State.UP:
        yield f"{gateway.name}: BFD with {provider} is not Up"
    elif _slow(session, world) or _slow(daemon.neighbours[gateway.name].bfd, world):
        yield f"{gateway.name}: BFD with {provider} has not agreed on its interval"
    learned = daemon.neighbours[gateway.name].learned if daemon.alive and daemon.neighbours else {}
    if learned.keys() != set(own_prefixes(gateway.name)):
        yield f"{provider} has learned {len(learned)} prefixes of {gateway.name}"


def _slow(session: Session, world: World) -> bool:
    return session.detection_ns != world.schedule.interval_ms * world.schedule.multiplier * MS
