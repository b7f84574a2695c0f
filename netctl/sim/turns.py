"""Whose turn it is to end bad forwarding, and until when: I1's bounds, exact.

A failure is noticed by one side after the other. The turn passes from one to the next (the provider's detection, then
the withdrawal's way, then the agent), and each has a bound of its own, counted from when its turn began.
"""

from __future__ import annotations

from dataclasses import dataclass

from netctl.bfd.session import State
from netctl.model.clock import MS, SECOND
from netctl.model.prefix import Prefix
from netctl.sim.gateway import SimGateway
from netctl.sim.memory import Memory
from netctl.sim.provider import PROPAGATION_MS
from netctl.sim.schedule import PROVIDERS
from netctl.sim.topology import HOLD_TIME_S
from netctl.sim.world import World

REACTION_NS = 10 * MS
WITHDRAWAL_NS = int(PROPAGATION_MS[1] * MS) + 4 * MS + REACTION_NS
"""From a provider that has lost a route to a gateway that does not use it any more, on a link without loss."""
ONE_WAY_NS = 2 * MS
DOUBT_NS = 4 * SECOND
"""How long liveness, having been stopped, gives a neighbour that says Down to say Up again: a handshake."""
HOLD_NS = (HOLD_TIME_S + 5) * SECOND
AGENT_STARTS_NS = 5 * SECOND
"""Until a fresh agent knows what its speakers know."""
BGP_SETTLES_NS = 7 * SECOND
"""How long TCP's back-off may still hold up a withdrawal after the link has become clear."""


@dataclass(frozen=True, slots=True)
class Due:
    """Whose turn it is, and until when: ``within`` ns after ``not_before`` or after the turn began."""

    turn: str
    not_before: int
    within: int


class Turns:
    """Answers for one world."""

    def __init__(self, world: World, memory: Memory) -> None:
        self._world = world
        self._memory = memory

    def usable(self, gateway: SimGateway, provider: str, prefix: Prefix) -> bool:
        """Whether the path works and everyone concerned can know it."""
        world, link = self._world, self._world.wires.links[f"{gateway.name}-{provider}"]
        session = gateway.bfd_session(provider)
        return (
            link.open
            and world.bfd_up(gateway.name, provider)
            and session is not None
            and session.state is State.UP
            and world.beyond(provider, prefix) == ""
        )

    def due(self, gateway: SimGateway, provider: str, prefix: Prefix, good: list[str]) -> Due | None:
        """Whose turn it is to take ``provider`` out of use for ``prefix``; None: nobody can be expected to."""
        name = gateway.name
        agent = self._memory.ready(name, "agent", AGENT_STARTS_NS)
        if provider == "none":
            offered = any(self._memory.offered(name, p, prefix) for p in PROVIDERS)
            return Due("the agent, with no route at all", 0, SECOND) if offered and agent else None
        link, daemon, speaker = (
            self._world.wires.links[f"{name}-{provider}"],
            self._world.providers[provider],
            gateway.speaker(provider),
        )
        told = (
            agent
            and speaker is not None
            and speaker.has_been_up
            and self._memory.ready(name, speaker.name, AGENT_STARTS_NS)
        )
        if link.way_from(name).cut or not daemon.alive:
            return self._local_due(gateway, provider, told)
        if not told or not any(self._memory.returned(gateway, p) for p in good):
            return None
        far = daemon.lookup(prefix)
        if far is None:
            clear = self._memory.clear(link.name, BGP_SETTLES_NS)
            return Due("the agent, by withdrawal", 0, WITHDRAWAL_NS if clear else HOLD_NS)
        session = daemon.neighbours[far].bfd
        if session.state is State.UP:
            return Due("the provider, by BFD", session.expires_ns, REACTION_NS)
        return Due("the provider, by hold time", 0, HOLD_NS)

    def _local_due(self, gateway: SimGateway, provider: str, told: bool) -> Due | None:
        """The gateway's own link, or the provider itself, has failed."""
        session = gateway.bfd_session(provider)
        if not self._memory.ready(gateway.name, "liveness") or session is None:
            return None
        if not session.ups:
            # Not seen Up in this life of liveness, and unknown is not down: the hold timer has to tell.
            return Due("the agent, by hold time", 0, HOLD_NS) if told else None
        awake = self._memory.ready(gateway.name, "liveness", 2 * DOUBT_NS)
        if session.state is not State.UP:
            return Due("liveness, which knows", 0, REACTION_NS + (0 if awake else DOUBT_NS))
        daemon = self._world.providers[provider]
        heard = self._world.wires.links[f"{gateway.name}-{provider}"].way_from(provider)
        if heard.cut or not daemon.alive:
            return Due("liveness, by silence", session.expires_ns, REACTION_NS)
        # Only our own way is cut: the provider's detection runs out, and its Down has to arrive here (or be missed).
        theirs = daemon.neighbours[gateway.name].bfd
        if theirs.state is State.UP:
            return Due("the provider, by silence", theirs.expires_ns, REACTION_NS)
        return Due(
            "liveness, by the neighbour's Down", 0, ONE_WAY_NS + REACTION_NS + session.detection_ns * bool(heard.loss)
        )
