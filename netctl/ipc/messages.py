"""Every message that crosses a netctl socket."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

VERSION = 1
ALIVE_S = 2
"""What liveness and speakers promise in Hello: they speak each second, and one may come late."""

BgpState = Literal["down", "connecting", "up"]
BfdState = Literal["admin_down", "down", "init", "up"]


class Hello(Struct, tag="hello", frozen=True):
    """First message each way."""

    program: str
    """``speaker``, ``liveness``, ``agent``, ``controller``, ``checker`` or ``cli``."""
    name: str
    """The peer's name for a speaker, the identity of a controller, the name of a checker, else the gateway's."""
    pid: int
    version: int = VERSION
    alive_s: int = 0
    """The sender's promise to say something at least so often, as a sign of life; 0: it promises nothing. Liveness and
    speakers keep it with Counters, so that one that is stuck (stopped, deadlocked) with its socket open is noticed."""


# --- speaker → agent -----------------------------------------------------------------------------------------------


class SessionState(Struct, tag="session_state", frozen=True):
    """The BGP session's state; sent after Hello and on each change. ``reason`` is for people.

    ``sessions`` counts how often the session came up since the speaker started: a change of it means that
    everything learned before it has to be confirmed again. ``fact`` is False when the session ended because our own
    ExaBGP died or was stopped: then the routes stay, stale.
    """

    state: BgpState
    sessions: int
    since_wall: float
    reason: str = ""
    fact: bool = True
    remote_router_id: str = ""
    up_ns: int = 0
    """CLOCK_MONOTONIC, which all programs of a machine share, when it came up; 0: it is not up, or nobody knows."""


class Routes(Struct, tag="routes", frozen=True):
    """Prefixes learned with the same attributes. ``prefixes`` is the keys joined: 5 bytes each (IPv4)."""

    next_hop: bytes
    as_path: tuple[int, ...]
    prefixes: bytes
    med: int = 0
    communities: tuple[str, ...] = ()
    origin: str = "igp"


class Withdrawn(Struct, tag="withdrawn", frozen=True):
    """Prefixes that the peer withdrew (joined keys). Not sent for a session that went down: SessionState says it."""

    prefixes: bytes


class Complete(Struct, tag="complete", frozen=True):
    """The peer's whole table of this session was sent (End-of-RIB, or quiet for long enough)."""

    prefixes: int
    by: Literal["end_of_rib", "quiet"] = "end_of_rib"


# --- agent → speaker -----------------------------------------------------------------------------------------------


class AnnouncedRoute(Struct, frozen=True):
    """One route to announce; the next hop is the session's local address."""

    prefix: bytes
    med: int | None = None
    communities: tuple[str, ...] = ()
    as_path: tuple[int, ...] = ()
    """The whole AS path, our own AS first; empty: we are the origin."""


class Announce(Struct, tag="announce", frozen=True):
    """The full desired set of announcements to this peer; the speaker computes the difference.

    Until the first one arrives a speaker announces nothing. It survives the agent and is renewed on each new session.
    """

    generation: int
    routes: tuple[AnnouncedRoute, ...]


class ResetSession(Struct, tag="reset_session", frozen=True):
    """Send NOTIFICATION Cease/Administrative Reset (RFC 4486) and connect again."""

    reason: str


class Shutdown(Struct, tag="shutdown", frozen=True):
    """End the program orderly: a speaker withdraws and closes, liveness sends AdminDown."""

    reason: str


# --- agent → liveness ----------------------------------------------------------------------------------------------


class ArmedSession(Struct, frozen=True):
    """What liveness does by itself for one peer's member.

    On Down it points the member at the first survivor that is Up (none: it leaves everything as it is). On Up:
    ``now`` points it back at once; ``hold`` waits for the agent to say ``now`` (the peer has dropped its BGP
    session with us on Down, and until it has learned the far side's routes again it would drop our packets) but not
    longer than ``restore_after_ms`` of uninterrupted Up, so that a dead agent does not keep it away for ever.
    """

    peer: str
    survivors: tuple[str, ...]
    restore: Literal["now", "hold"] = "hold"
    restore_after_ms: int = 30_000
    downs: int = -1
    """``now`` is meant for the Up after that many Downs (BfdSession.downs) and obeyed for no other: what an agent
    decided before it saw the latest Down must not bring the member home. -1: whatever it is."""


class Arm(Struct, tag="arm", frozen=True):
    """The full set of armed sessions. A lower generation than the last one is refused (a stale agent's)."""

    generation: int
    sessions: tuple[ArmedSession, ...]


# --- liveness → agent ----------------------------------------------------------------------------------------------


class BfdSession(Struct, tag="bfd_session", frozen=True):
    """One session's state; after Hello one for each peer with BFD, then on each change."""

    peer: str
    state: BfdState
    diagnostic: str
    remote_state: BfdState
    since_wall: float
    ups: int = 0
    downs: int = 0
    detection_ms: float = 0.0
    interval_ms: float = 0.0
    """The negotiated transmit interval."""
    down_ns: int = 0
    """CLOCK_MONOTONIC of the last Down; 0: none since liveness started."""


class MemberPointed(Struct, tag="member_pointed", frozen=True):
    """Where a member points now; after Hello one for each peer (with or without BFD) whose member the kernel has, then
    on each change and whenever a member that was lost (its link had no carrier) has been made again.

    ``at`` is the peer whose address it holds; equal to ``peer`` when it points home.
    ``decision_us`` is the time from the decision to the kernel's answer, 0 when unknown.
    """

    peer: str
    at: str
    generation: int
    decision_us: float = 0.0


class Armed(Struct, tag="armed", frozen=True):
    """Answer to Arm: accepted, or refused with a reason."""

    generation: int
    error: str = ""


class Counters(Struct, tag="counters", frozen=True):
    """Counters by name (``bfd_discarded{reason=ttl}``, …), cumulative since the program's start; sent each second,
    changed or not: it is also the sign of life that Hello promises (``alive_s``)."""

    values: dict[str, float]


# --- controller → checker -------------------------------------------------------------------------------------------


class CheckTarget(Struct, frozen=True):
    """One instance to check: exactly one of ``http`` (URL, 200-399 passes) and ``tcp`` (``HOST:PORT``, connects)."""

    service: str
    instance: str
    tcp: str | None = None
    http: str | None = None
    interval_ms: int = 300
    timeout_ms: int = 250
    rise: int = 2
    fall: int = 2


class CheckTargets(Struct, tag="check_targets", frozen=True):
    """What to check. ``full``: these and no others; else these are added or changed, and ``removed`` are forgotten.

    ``cloud`` is the one the controller means; a checker of another cloud refuses the whole.
    """

    cloud: str
    targets: tuple[CheckTarget, ...]
    removed: tuple[tuple[str, str], ...] = ()
    """(service, instance)."""
    full: bool = False


# --- checker → controller -------------------------------------------------------------------------------------------


class CheckerCloud(Struct, tag="checker_cloud", frozen=True):
    """First message of a checker after Hello: whose instances it can check."""

    cloud: str


class Verdict(Struct, frozen=True):
    """The outcome of an instance's checks; ``passing`` is never sent before rise or fall was reached. ``for_target``
    is the address and port (``10.1.0.5:80``) it was found at, so that it is not taken for another one's."""

    service: str
    instance: str
    passing: bool
    for_target: str
    detail: str = ""


class Verdicts(Struct, tag="verdicts", frozen=True):
    """After CheckTargets with ``full`` all that are known of them, then each change. Empty: a sign of life, which a
    checker gives each second (``Hello.alive_s``)."""

    verdicts: tuple[Verdict, ...]


# --- command line ↔ agent, controller, checker ----------------------------------------------------------------------


class Request(Struct, tag="request", frozen=True):
    """One question. To the agent: ``status``, ``explain`` (a prefix or address), ``reset`` (a peer), ``stop``; to the
    controller: ``status``, ``explain`` (a service), ``holds``, ``approve`` (a hold's id); to the checker: ``status``.
    All know ``metrics``."""

    verb: str
    argument: str = ""


class Reply(Struct, tag="reply", frozen=True):
    """The answer; ``error`` is empty when it worked. ``body`` is plain JSON-able data, documented at each verb."""

    body: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    hint: str = ""


Message = (
    Hello
    | SessionState
    | Routes
    | Withdrawn
    | Complete
    | Announce
    | ResetSession
    | Shutdown
    | Arm
    | BfdSession
    | MemberPointed
    | Armed
    | Counters
    | CheckTargets
    | CheckerCloud
    | Verdicts
    | Request
    | Reply
)
