"""What liveness is armed with: the survivors of each member, and when a member may go home.

A provider drops its BGP session with us on BFD Down, and until it has learned the far side's routes again it would
drop our packets. So a member that is away goes home when the peer's session has come up anew since that Down and its
table is complete, or when the session has survived a whole hold time since BFD was Up again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from netctl.agent.peers import PeerState
from netctl.ipc.messages import ArmedSession
from netctl.model.clock import SECOND
from netctl.model.gateway import CloudSettings

Position = Literal["home", "away", "returning"]
Signal = Literal["path_down", "pointed_away", "pointed_home", "may_return"]

# home: armed with ``hold``, nothing to do. away: ``hold`` until it may return. returning: armed with ``now``.
RETURN_TABLE: dict[tuple[Position, Signal], Position] = {
    ("home", "path_down"): "away",
    ("home", "pointed_away"): "away",
    ("home", "pointed_home"): "home",
    ("away", "path_down"): "away",
    ("away", "pointed_away"): "away",
    ("away", "pointed_home"): "home",
    ("away", "may_return"): "returning",
    ("returning", "path_down"): "away",
    ("returning", "pointed_away"): "returning",  # an answer from before ``now`` arrived there
    ("returning", "pointed_home"): "home",
}

_RESTORE_AFTER_MIN_MS = 30_000
_NO_HOLD_TIME_S = 9
"""A session without a hold time survives everything, which proves nothing: then it has to survive as long as one with
the default."""


class Return:
    """Follows one peer with BFD from Down until its member is home again."""

    def __init__(self, peer: PeerState) -> None:
        self.peer = peer
        self.position: Position = "home"
        self._came_up = False
        self._down_ns = 0
        self._bfd_up_ns: int | None = None
        self._session_up_ns: int | None = None
        self._up_exactly = False

    def session(self, came_up: bool, now_ns: int) -> None:
        """The BGP session came up anew, or ended."""
        self._came_up = came_up
        self._session_up_ns = now_ns if came_up else None
        self._up_exactly = came_up

    def session_known(self, now_ns: int, up_ns: int = 0) -> None:
        """The session was up already when the agent (or its speaker's socket) came; ``up_ns``: since when, or 0."""
        if self._session_up_ns is None:
            self._session_up_ns = up_ns or now_ns
            self._up_exactly = up_ns > 0

    def bfd_changed(self, up: bool, went_down: bool, now_ns: int, down_ns: int = 0) -> None:
        """``went_down``: it was down at some time since the last call, also when it is up again; ``down_ns``: when it
        went down last, or 0."""
        self._down_ns = down_ns
        if went_down:
            self._step("path_down")
            self._came_up = False
            self._bfd_up_ns = None
        if up and self._bfd_up_ns is None:
            self._bfd_up_ns = now_ns
        elif not up:
            self._bfd_up_ns = None

    def pointed(self, home: bool) -> None:
        if home and (self.position == "returning" or self._bfd_up_ns is not None):
            self._step("pointed_home")
        elif not home:
            self._step("pointed_away")

    def slept(self, gap_ns: int) -> None:
        """Nobody looked for that long: it does not count as time survived."""
        if self._bfd_up_ns is not None:
            self._bfd_up_ns += gap_ns

    @property
    def _renewed(self) -> bool:
        """The session is newer than the last Down."""
        newer = self._session_up_ns is not None and 0 < self._down_ns < self._session_up_ns
        return self._came_up or (newer and self._up_exactly)

    def due_ns(self) -> int | None:
        """When the session will have survived a hold time since BFD Up; None when that is not what is waited for."""
        if self.position != "away" or self.peer.phase != "complete":
            return None
        if self._bfd_up_ns is None or self._session_up_ns is None:
            return None
        hold_time_s = self.peer.settings.hold_time_s or _NO_HOLD_TIME_S
        return max(self._bfd_up_ns, self._session_up_ns) + hold_time_s * SECOND

    def review(self, now_ns: int, stranded: bool = False) -> None:
        """Let it return when it may; ``stranded``: where it points does not reach what it is needed for, so that home,
        if BFD is Up, can only be better."""
        due_ns = self.due_ns()
        waited = due_ns is not None and (self._renewed or now_ns >= due_ns)
        if waited or (stranded and self.position == "away" and self._bfd_up_ns is not None):
            self._step("may_return")
            if self.peer.member_at == self.peer.name:  # there was no survivor: it has never been away
                self._step("pointed_home")

    def _step(self, signal: Signal) -> None:
        self.position = RETURN_TABLE[self.position, signal]


def armed_sessions(peers: Sequence[PeerState], returns: dict[str, Return]) -> tuple[ArmedSession, ...]:
    """What each peer's member may do by itself."""
    return tuple(
        ArmedSession(
            peer=peer.name,
            survivors=survivors(peer, peers),
            restore="now" if returns[peer.name].position == "returning" else "hold",
            downs=peer.bfd.downs if peer.bfd is not None and returns[peer.name].position == "returning" else -1,
            restore_after_ms=max(_RESTORE_AFTER_MIN_MS, 2000 * peer.settings.hold_time_s),
        )
        for peer in peers
        if peer.settings.bfd is not None
    )


def stranded(
    peer: PeerState,
    peers: Mapping[str, PeerState],
    clouds: Sequence[CloudSettings],
    has_route: Callable[[PeerState, str | None], bool],
) -> bool:
    """Whether the member of a peer whose session is up points at one that is known to have no route into a cloud in
    which this one has: its table is complete, or its session ended, which are facts."""
    at = peers.get(peer.member_at or peer.name, peer)
    if at is peer or not peer.up or at.phase not in {"complete", "idle"}:
        return False
    names: tuple[str | None, ...] = tuple(cloud.name for cloud in clouds) or (None,)
    return any(has_route(peer, name) and not has_route(at, name) for name in names)


def survivors(peer: PeerState, peers: Sequence[PeerState]) -> tuple[str, ...]:
    """The other peers of its kind: those with complete tables first, each list beginning behind the peer itself, so
    that the members of several failed peers do not all go to the same one."""
    place = peers.index(peer)
    others = [p for p in (*peers[place + 1 :], *peers[:place]) if p.settings.kind == peer.settings.kind]
    return tuple(p.name for p in sorted(others, key=lambda p: p.phase != "complete"))
