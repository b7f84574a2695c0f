"""``Agent``: every event of a gateway comes in here, and what is to be done comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from netctl.agent import events as e
from netctl.agent.announce import Announcements, settle_ns
from netctl.agent.arming import stranded
from netctl.agent.kernel import KernelSide, Look
from netctl.agent.members import Members
from netctl.agent.peers import STALE_BOUND_S, PeerState
from netctl.agent.routes import Chooser, CloudMap, PathIndex
from netctl.health.checks import Verdict
from netctl.ipc.messages import (
    Armed,
    BfdSession,
    Complete,
    Counters,
    MemberPointed,
    ResetSession,
    Routes,
    SessionState,
    Withdrawn,
)
from netctl.model.clock import MS
from netctl.model.errors import PeerError
from netctl.model.gateway import Gateway
from netctl.model.prefix import Prefix
from netctl.model.routing import KernelOp


class Agent:
    """Decides for one gateway. Times are monotonic nanoseconds; ``wall`` seconds only go into views."""

    def __init__(self, gateway: Gateway, now_ns: int, stale_bound_s: float = STALE_BOUND_S) -> None:
        self.gateway = gateway
        self.peers = {p.name: PeerState(p, i, stale_bound_s, now_ns) for i, p in enumerate(gateway.peers)}
        self.kernel = KernelSide()
        self.chooser = Chooser(tuple(self.peers.values()), self.kernel.fib)
        self.index = PathIndex(CloudMap(gateway.clouds))
        self.members = Members(self.peers)
        self.verdicts = {check.name: Verdict(check.rise, check.fall) for check in gateway.checks}
        self.announcements = Announcements(
            gateway.announce, self.peers, [c.name for c in gateway.clouds], self.verdicts, self._has_route
        )
        self.refused: Counter[str] = Counter()
        """What other programs said that they must not say, by reason."""
        self.counters: dict[str, dict[str, float]] = {}
        """Counters of the other programs, by program."""
        self._unsettled = set(self.peers)
        self._adopted = False
        self._settle_ns = now_ns + settle_ns(gateway.checks)
        self._effects: list[e.Effect] = []
        self._messages: dict[type, Callable[[PeerState, Any, int], None]] = {
            SessionState: self._on_session,
            Routes: self._on_routes,
            Withdrawn: self._on_withdrawn,
            Complete: self._on_complete,
            Counters: lambda peer, message, _now: self._on_counters(f"speaker-{peer.name}", message),
        }
        self._liveness_messages: dict[type, Callable[[Any, int], None]] = {
            BfdSession: self._on_bfd,
            MemberPointed: self._on_member,
            Armed: self._on_armed,
            Counters: self._on_liveness_counters,
        }
        self._handlers: dict[type, Callable[[Any, int], None]] = {
            e.SpeakerConnected: self._on_speaker_connected,
            e.SpeakerSaid: self._on_speaker,
            e.SpeakerLost: self._on_speaker_lost,
            e.LivenessConnected: lambda _event, _now: self.members.joined(),
            e.LivenessSaid: self._on_liveness,
            e.LivenessLost: self._on_liveness_lost,
            e.CheckRan: self._on_check,
            e.KernelRead: self._on_kernel_read,
            e.KernelChanged: lambda event, _now: self.kernel.changed(event.event),
            e.OpsApplied: self._on_ops_applied,
            e.ResetAsked: self._on_reset_asked,
            e.TimerDue: lambda _event, _now: None,
            e.Slept: self._on_slept,
        }

    # --- the surface ---------------------------------------------------------------------------------------------

    def handle(self, event: e.Event, now_ns: int) -> list[e.Effect]:
        """Take one event. Raises PeerError for what another program must not say: counted, nothing has changed."""
        try:
            self._handlers[type(event)](event, now_ns)
        except PeerError as error:
            self.refused[error.reason] += 1
            self._effects = []
            raise
        self._timers(now_ns)
        if (arm := self.members.arm()) is not None:
            self._effects.append(e.TellLiveness(arm))
        for peer in self.peers.values():
            if (announce := self.announcements.due(peer)) is not None:
                self._effects.append(e.TellSpeaker(peer.name, announce))
                self._note("info", "announcing", peer=peer.name, routes=len(announce.routes))
        effects, self._effects = self._effects, []
        return effects

    def next_timer(self) -> int | None:
        """When ``handle(e.TimerDue())`` is wanted next."""
        dues = [p.deadline_ns for p in self.peers.values()] + [r.due_ns() for r in self.members.returns.values()]
        dues += [None if self.announcements.settled else self._settle_ns, self.kernel.retry_ns]
        return min((due for due in dues if due is not None), default=None)

    def kernel_ops(self, limit: int) -> list[KernelOp]:
        """Decide up to ``limit`` waiting prefixes, then give the next operations of about as many, in a safe order.
        Their outcome comes back as e.OpsApplied before the next call, and what ``wants_look`` says is read before
        this one. Empty and not ``busy``: nothing to do now."""
        self.chooser.work(limit)
        ops = self.kernel.take(limit)
        if not ops and not self.chooser.busy and self.kernel.moved():
            ops = self.kernel.take(limit)
        return ops

    @property
    def wants_look(self) -> Look | None:
        """What part of the kernel has to come in as e.KernelRead before more is written."""
        return self.kernel.wants

    @property
    def busy(self) -> bool:
        """Whether there are prefixes to decide although ``kernel_ops`` returned nothing."""
        return self.chooser.busy

    # --- speakers ------------------------------------------------------------------------------------------------

    def _on_speaker_connected(self, event: e.SpeakerConnected, _now_ns: int) -> None:
        peer = self.peers[event.peer]
        peer.connected = True
        self.announcements.forget(peer)

    def _on_speaker(self, event: e.SpeakerSaid, now_ns: int) -> None:
        handler = self._messages.get(type(event.message))
        if handler is None:
            raise PeerError("speaker_said_nonsense", f"{event.peer}: {type(event.message).__name__}")
        handler(self.peers[event.peer], event.message, now_ns)

    def _on_speaker_lost(self, event: e.SpeakerLost, now_ns: int) -> None:
        peer = self.peers[event.peer]
        peer.lost(now_ns)
        self.members.returns[peer.name].session(came_up=False, now_ns=now_ns)
        self.announcements.forget(peer)
        self._note("warning", "speaker lost", peer=peer.name, kept_stale=len(peer.stale))

    def _on_session(self, peer: PeerState, message: SessionState, now_ns: int) -> None:
        was, before = peer.phase, peer.session
        gone = peer.session_changed(message, now_ns)
        if gone is not None:
            self.kernel.avoid(peer.settings.member_id)
        self._gone(peer, gone)
        follow = self.members.returns[peer.name]
        if not peer.up:
            follow.session(came_up=False, now_ns=now_ns)
        elif before is None:
            follow.session_known(now_ns, message.up_ns)
        elif before.sessions != message.sessions:
            follow.session(came_up=True, now_ns=now_ns)
        if was != peer.phase or before is None or before.reason != message.reason:
            level: e.Level = "info" if peer.up or message.sessions == 0 else "warning"
            self._note(level, "bgp session", peer=peer.name, state=message.state, reason=message.reason, was=was)

    def _on_routes(self, peer: PeerState, message: Routes, _now_ns: int) -> None:
        changed = peer.learn(message)
        self.index.learned(peer, changed)
        decide = self.chooser.decide
        for prefix in changed:
            decide(prefix)

    def _on_withdrawn(self, peer: PeerState, message: Withdrawn, _now_ns: int) -> None:
        data = message.prefixes
        if len(data) % 5:
            raise PeerError("withdrawn_malformed", f"from {peer.name}")
        for start in range(0, len(data), 5):
            prefix = data[start : start + 5]
            peer.forget(prefix)
            self.chooser.peer_denied(peer, prefix)

    def _on_complete(self, peer: PeerState, message: Complete, now_ns: int) -> None:
        was = peer.phase
        self._gone(peer, peer.completed(message, now_ns))
        if was != "complete":
            self._note("info", "table complete", peer=peer.name, prefixes=len(peer.table), by=message.by)

    def _gone(self, peer: PeerState, prefixes: Iterator[Prefix] | None) -> None:
        """Judge again what a peer has no path to any more, and what was adopted for its sake once it has settled."""
        if prefixes is not None:
            self.chooser.later(prefixes)
        if peer.settled and peer.name in self._unsettled:
            self._unsettled.discard(peer.name)
            self.chooser.peer_settled(peer)

    # --- liveness ------------------------------------------------------------------------------------------------

    def _on_liveness(self, event: e.LivenessSaid, now_ns: int) -> None:
        handler = self._liveness_messages.get(type(event.message))
        if handler is None:
            raise PeerError("liveness_said_nonsense", type(event.message).__name__)
        handler(event.message, now_ns)

    def _on_liveness_lost(self, _event: e.LivenessLost, _now_ns: int) -> None:
        self.members.lost()
        self._note("warning", "liveness lost", kept="members and routes stay as they are")

    def _on_bfd(self, message: BfdSession, now_ns: int) -> None:
        if self.members.bfd(message, now_ns):
            level: e.Level = "warning" if self.peers[message.peer].bfd_down else "info"
            self._note(level, "bfd session", peer=message.peer, state=message.state, diagnostic=message.diagnostic)

    def _on_member(self, message: MemberPointed, now_ns: int) -> None:
        moved = self.members.pointed(message, now_ns)
        self.kernel.members_changed()
        if moved:
            level: e.Level = "info" if message.at == message.peer else "warning"
            self._note(level, "member points", peer=message.peer, at=message.at, decision_us=message.decision_us)

    def _on_armed(self, message: Armed, _now_ns: int) -> None:
        self.members.answered(message)
        if message.error:
            self._note("warning", "arming refused", error=message.error, generation=message.generation)

    # --- kernel, checks, requests --------------------------------------------------------------------------------

    def _on_kernel_read(self, event: e.KernelRead, _now_ns: int) -> None:
        self.kernel.looked(event.state, event.look)
        if self._adopted or event.look != "dump":
            return
        self._adopted = True
        self.chooser.adopt(event.state)
        for peer in self.peers.values():
            if peer.adopted:
                self.index.adopted(peer, self.chooser.adopted_over(peer))
        self._note("info", "kernel adopted", routes=len(event.state.routes), groups=len(event.state.groups))

    def _on_ops_applied(self, event: e.OpsApplied, now_ns: int) -> None:
        for failure in self.kernel.applied(event.failures, now_ns):
            what = type(failure.op).__name__
            self._note("error", "kernel refused", op=what, errno=failure.errno, reason=failure.message)

    def _on_check(self, event: e.CheckRan, _now_ns: int) -> None:
        verdict = self.verdicts[event.name]
        if verdict.ran(passed=event.passed, detail=event.detail):
            level: e.Level = "info" if verdict.passing else "warning"
            self._note(level, "check", check=event.name, passing=verdict.passing, detail=event.detail)

    def _on_reset_asked(self, event: e.ResetAsked, _now_ns: int) -> None:
        self._effects.append(e.TellSpeaker(event.peer, ResetSession(event.reason)))
        self._note("warning", "session reset asked", peer=event.peer, reason=event.reason)

    def _on_liveness_counters(self, message: Counters, _now_ns: int) -> None:
        self.members.told_all()
        self._on_counters("liveness", message)

    def _on_counters(self, program: str, message: Counters) -> None:
        self.counters.setdefault(program, {}).update(message.values)

    def _on_slept(self, event: e.Slept, _now_ns: int) -> None:
        for peer in self.peers.values():
            peer.slept(event.gap_ns)
        for follow in self.members.returns.values():
            follow.slept(event.gap_ns)
        self._settle_ns += event.gap_ns
        self._note("warning", "did not run", for_ms=event.gap_ns // MS)

    # --- after every event ---------------------------------------------------------------------------------------

    def _timers(self, now_ns: int) -> None:
        for peer in self.peers.values():
            if peer.deadline_ns is not None and now_ns >= peer.deadline_ns:
                stale = len(peer.stale)
                self._gone(peer, peer.deadline_passed(now_ns))
                swept = stale - len(peer.stale)
                if swept or not peer.up:
                    self._note("warning", "waited long enough", peer=peer.name, swept=swept, phase=peer.phase)
        for follow in self.members.returns.values():
            follow.review(now_ns, stranded(follow.peer, self.peers, self.gateway.clouds, self._has_route))
        self.kernel.retry(now_ns)
        if now_ns >= self._settle_ns:
            self.announcements.settled = True

    def _has_route(self, peer: PeerState, cloud: str | None) -> bool:
        if cloud is None:
            return bool(peer.table or peer.stale or peer.adopted)
        return self.index.has_route(peer, cloud, lambda prefix: peer.path(prefix) is not None)

    def _note(self, level: e.Level, event: str, **fields: Any) -> None:
        self._effects.append(e.Note(level, event, fields))
