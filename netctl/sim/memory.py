"""What has to be remembered to judge: since when programs run, links are clear, prefixes are offered, BFD is Up."""

from __future__ import annotations

from typing import TypeVar

from netctl.bfd.session import State
from netctl.model.clock import MS, SECOND
from netctl.model.prefix import Prefix, parse_address
from netctl.model.routing import Via
from netctl.sim.gateway import SimGateway
from netctl.sim.schedule import PROVIDERS
from netctl.sim.topology import HOLD_TIME_S, remote_prefixes
from netctl.sim.world import World

LEFT_NS = 60 * SECOND
"""How long routes stay, at least, whose speaker died: an agent's start-up bound, the shorter of its two."""
SETTLED_NS = 1 * SECOND
"""What was offered for so long has reached the agent."""
RETURN_NS = 50 * MS
"""How long a member may take to come home once it may."""
_NEVER = 1 << 62
K = TypeVar("K")
PROGRAMS = ("agent", "liveness", *(f"speaker-{provider}" for provider in PROVIDERS))


class Memory:
    """``update`` is called before each judgement."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ready_since: dict[tuple[str, str], int] = {}
        self._clear_since: dict[str, int] = {}
        self._offered_since: dict[tuple[str, str, Prefix], int] = {}
        self._left_since: dict[tuple[str, str, Prefix], int] = {}
        """What a speaker offered that died, and of which no fact is known since."""
        self._bfd_changed: dict[tuple[str, str], tuple[bool, int]] = {}
        self._bfd_down: dict[tuple[str, str], int] = {}
        self._renewed: dict[tuple[str, str], int] = {}
        """When a session that began after BFD's last Down was complete for the first time."""

    # --- what is asked ---

    def ready(self, gateway: str, program: str, for_ns: int = 0) -> bool:
        """Whether it has run, and not been stopped, for so long."""
        since = self._ready_since.get((gateway, program))
        return since is not None and self._world.loop.now_ns - since >= for_ns

    def clear(self, link: str, for_ns: int) -> bool:
        """Whether BGP has passed on that link without loss for so long."""
        return self._world.loop.now_ns - self._clear_since.get(link, 0) > for_ns

    def offered(self, gateway: str, provider: str, prefix: Prefix, for_ns: int = 0) -> bool:
        """Whether the provider's session of now has taught the prefix for so long."""
        since = self._offered_since.get((gateway, provider, prefix))
        return since is not None and self._world.loop.now_ns - since >= for_ns

    def left(self, gateway: str, provider: str, prefix: Prefix) -> bool:
        """Whether the provider's speaker died not long ago, having offered the prefix: that is no reason to drop it."""
        since = self._left_since.get((gateway, provider, prefix))
        return since is not None and self._world.loop.now_ns - since < LEFT_NS

    def returned(self, gateway: SimGateway, provider: str) -> bool:
        """Whether the provider's member is home, or has had to be."""
        peer = next(peer for peer in gateway.settings.peers if peer.name == provider)
        if gateway.kernel.nexthops().members.get(peer.member_id) == Via(parse_address(peer.address), peer.interface):
            return True
        since = self.may_return_since(gateway, provider)
        return since is not None and self._world.loop.now_ns - since > RETURN_NS

    def may_return_since(self, gateway: SimGateway, provider: str) -> int | None:
        """Since when a member that was away may be home: BFD is Up, and since its Down the BGP session has come up
        anew and was complete (whatever came later), or since its Up the session has survived a hold time."""
        pair, now = (gateway.name, provider), self._world.loop.now_ns
        up, since = self._bfd_changed.get(pair, (False, 0))
        if not up:
            return None
        if pair in self._renewed:
            return max(since, self._renewed[pair])
        speaker = gateway.speaker(provider)
        survived = max(since, speaker.up_since_ns if speaker is not None else 0) + HOLD_TIME_S * SECOND
        return survived if now >= survived else None

    # --- what is seen ---

    def update(self) -> None:
        """Look at everything once."""
        for gateway in self._world.gateways.values():
            for program in PROGRAMS:
                self._note(self._ready_since, (gateway.name, program), gateway.runs(program))
            for provider in PROVIDERS:
                self._see_peer(gateway, provider)
        for name, place in self._world.places.items():
            if not place.passes or any(way.loss for way in place.link.ways):
                self._clear_since[name] = _NEVER
            elif self._clear_since.get(name, 0) == _NEVER:
                self._clear_since[name] = self._world.loop.now_ns

    def _see_peer(self, gateway: SimGateway, provider: str) -> None:
        speaker, session = gateway.speaker(provider), gateway.bfd_session(provider)
        for prefix in remote_prefixes(gateway.name):
            offered = speaker is not None and prefix in speaker.learned
            key = (gateway.name, provider, prefix)
            if speaker is None and self.offered(*key, SETTLED_NS):
                self._left_since[key] = self._world.loop.now_ns
            elif speaker is not None and (
                offered or (speaker.has_been_up and not speaker.up) or speaker.complete_since_ns is not None
            ):
                self._left_since.pop(key, None)
            self._note(self._offered_since, key, offered)
        pair, up = (gateway.name, provider), session is not None and session.state is State.UP
        if self._bfd_changed.get(pair, (False, 0))[0] != up:
            self._bfd_changed[pair] = (up, self._world.loop.now_ns)
            if not up:
                self._bfd_down[pair] = self._world.loop.now_ns
                self._renewed.pop(pair, None)
        if speaker is not None and speaker.complete_since_ns is not None:
            self._see_complete(pair, speaker.up_since_ns, speaker.complete_since_ns)

    def _see_complete(self, pair: tuple[str, str], up_since_ns: int, complete_since_ns: int) -> None:
        if up_since_ns > self._bfd_down.get(pair, 0):
            self._renewed.setdefault(pair, complete_since_ns)

    def _note(self, since: dict[K, int], key: K, holds: bool) -> None:
        if holds:
            since.setdefault(key, self._world.loop.now_ns)
        else:
            since.pop(key, None)
