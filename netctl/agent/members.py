"""The agent's side of members: what liveness says about them, and what it is armed with."""

from __future__ import annotations

from collections.abc import Mapping

from netctl.agent.arming import Return, armed_sessions
from netctl.agent.peers import PeerState
from netctl.ipc.messages import Arm, Armed, ArmedSession, BfdSession, MemberPointed
from netctl.model.errors import PeerError


class Members:
    """Follows every peer's BFD session and member; ``arm`` gives the set to say when it has changed."""

    def __init__(self, peers: Mapping[str, PeerState]) -> None:
        self._peers = peers
        self.returns = {name: Return(peer) for name, peer in peers.items()}
        self.connected = False
        self.armed: tuple[ArmedSession, ...] | None = None
        """What was said last on this connection."""
        self.refusal = ""
        """Why liveness refused that; empty: it did not."""
        self.generation = 0
        self._told_all = False

    def joined(self) -> None:
        """The socket answered. Nothing is said before liveness has told everything, its generation included."""
        self.connected, self._told_all, self.armed, self.refusal = True, False, None, ""

    def told_all(self) -> None:
        """Counters came: the last of what liveness tells a new client."""
        self._told_all = True

    def lost(self) -> None:
        """Members stay where they are, and so does what is known about them."""
        self.connected, self._told_all, self.armed = False, False, None

    def bfd(self, message: BfdSession, now_ns: int) -> bool:
        """Take a session's state; returns whether it is news."""
        peer = self._peer(message.peer)
        before, peer.bfd = peer.bfd, message
        up = message.state == "up"
        if before is None:
            went_down = not up and peer.bfd_down
        else:
            went_down = message.downs > before.downs or (before.state == "up" and not up and message.ups > 0)
        self.returns[peer.name].bfd_changed(up, went_down, now_ns, message.down_ns)
        return before is None or before.state != message.state

    def pointed(self, message: MemberPointed, now_ns: int) -> bool:
        """Take where a member points; returns whether it moved."""
        peer = self._peer(message.peer)
        self.generation = max(self.generation, message.generation)
        moved = peer.member_at != message.at
        if moved:
            peer.member_since_ns = now_ns
        peer.member_at, peer.decision_us = message.at, message.decision_us or peer.decision_us
        self.returns[peer.name].pointed(home=message.at == peer.name)
        return moved

    def answered(self, message: Armed) -> None:
        """A set refused for its generation is said again, above the generation that was told."""
        self.refusal = message.error
        if message.error and message.generation > self.generation:
            self.generation, self.armed = message.generation, None

    def arm(self) -> Arm | None:
        """The full set to say now, if it differs from what was said."""
        if not self._told_all:
            return None
        wanted = armed_sessions(tuple(self._peers.values()), self.returns)
        if wanted == self.armed:
            return None
        self.generation += 1
        self.armed = wanted
        return Arm(self.generation, wanted)

    def _peer(self, name: str) -> PeerState:
        peer = self._peers.get(name)
        if peer is None:
            raise PeerError("unknown_peer", name)
        return peer
