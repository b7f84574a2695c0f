"""Which routes each speaker announces: the conditions of ``when``, three-valued because unknown is never down.

A speaker keeps the last set it was given, also while the agent is away. So a new agent says nothing to a speaker while
one of the conditions concerned is unknown; only when ``settle_ns`` is over does unknown count as not met (a BFD state
that liveness has not told even then is left out of the judgement).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from netctl.agent.peers import PeerState
from netctl.health.checks import Verdict
from netctl.ipc.messages import Announce, AnnouncedRoute
from netctl.model.clock import MS, SECOND
from netctl.model.gateway import AnnouncementSettings, CheckSettings, Condition
from netctl.model.prefix import Prefix

_SETTLE_MIN_NS = 5 * SECOND

HasRoute = Callable[[PeerState, str | None], bool]
"""Whether a peer has a route in a cloud's prefixes; None: any route at all."""


def settle_ns(checks: Iterable[CheckSettings]) -> int:
    """How long first results may take: 5 s, or longer where a check needs longer for its first verdict."""
    needed_ms = [max(c.rise, c.fall) * max(c.interval_ms, c.timeout_ms) + c.timeout_ms for c in checks]
    return max([_SETTLE_MIN_NS, *(ms * MS for ms in needed_ms)])


class Announcements:
    """Judges conditions and builds each peer's set."""

    def __init__(
        self,
        settings: Sequence[AnnouncementSettings],
        peers: Mapping[str, PeerState],
        clouds: Sequence[str],
        verdicts: Mapping[str, Verdict],
        has_route: HasRoute,
    ) -> None:
        self._settings = tuple(settings)
        self._peers = peers
        self._clouds = tuple(clouds)
        self._verdicts = verdicts
        self._has_route = has_route
        self.conditions = tuple({condition: None for a in settings for condition in a.when})
        self.settled = False
        """The time for first results is over."""
        self.announced: dict[str, tuple[AnnouncedRoute, ...]] = {}
        """The set last told to each connected speaker."""
        self._generation = 0

    def judge(self, condition: Condition) -> bool | None:
        """Whether the condition is met; None: not known yet."""
        if condition.kind == "check":
            return self._verdicts[condition.name].passing
        if condition.kind == "peer":
            named = [p for p in self._peers.values() if condition.name in {p.name, p.settings.kind}]
            states = [self._peer_up(peer) for peer in named]
            return True if True in states else None if None in states else False
        return self._path_up(condition.name)

    def routes_for(self, peer: str) -> tuple[AnnouncedRoute, ...] | None:
        """The full set to announce to a peer; None while that is not known."""
        judged = {condition: self.judge(condition) for condition in self.conditions}
        concerned = [a for a in self._settings if peer in a.to]
        if not self.settled and any(judged[c] is None for a in concerned for c in a.when):
            return None
        return tuple(AnnouncedRoute(a.prefix) for a in concerned if all(judged[c] for c in a.when))

    def due(self, peer: PeerState) -> Announce | None:
        """The set to tell this peer's speaker now, if it is known and differs from what was told."""
        routes = self.routes_for(peer.name) if peer.connected else None
        if routes is None or routes == self.announced.get(peer.name):
            return None
        self._generation += 1
        self.announced[peer.name] = routes
        return Announce(self._generation, routes)

    def forget(self, peer: PeerState) -> None:
        """The speaker's connection is a new one, or gone: whatever it was told is told again."""
        self.announced.pop(peer.name, None)

    def views(self) -> Iterable[tuple[Prefix, tuple[str, ...], dict[str, bool | None]]]:
        """For people: each announcement with its targets and what each condition says."""
        for a in self._settings:
            yield a.prefix, a.to, {str(condition): self.judge(condition) for condition in a.when}

    def _peer_up(self, peer: PeerState) -> bool | None:
        if peer.up or peer.held:
            return True
        return None if peer.phase == "unknown" else False

    def _path_up(self, cloud: str) -> bool | None:
        unknown = False
        for peer in self._peers.values():
            if peer.settings.kind != "provider":
                continue
            if peer.settings.bfd is not None and peer.bfd is None and not self.settled:
                unknown = True
            elif not peer.bfd_down and (peer.up or peer.held) and self._reaches(peer, cloud):
                return True
            elif peer.phase in {"unknown", "loading"} and not peer.bfd_down:
                unknown = True
        return None if unknown else False

    def _reaches(self, peer: PeerState, cloud: str) -> bool:
        if cloud == "any":
            return any(self._has_route(peer, name) for name in self._clouds or (None,))
        return self._has_route(peer, cloud)
