"""What a drill leaves behind: one document with stable keys, kept in the lab's drills folder and printed by -o json."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Verdict = Literal["passed", "missed", "refused", "aborted", "restore_failed", "inconclusive"]

EXIT_CODES: dict[Verdict, int] = {
    "passed": 0,
    "missed": 1,
    "refused": 3,
    "aborted": 4,
    "restore_failed": 5,
    "inconclusive": 6,
}


class OutageResult(Struct, frozen=True):
    """One interruption: when it began after the injection, how long it was, and in which part of the drill."""

    during: Literal["fault", "return"]
    start_ms: float
    outage_ms: float
    at_most_ms: float
    """With what the sender was late by: the longest it can have been."""
    lost: int
    recovered: bool


class FlowResult(Struct, frozen=True):
    """One flow. ``outage_ms`` is its longest interruption (receiver's gap), ``loss_ms`` packets lost x interval.

    ``recovered_after_ms``: from the injection to the first packet after the longest interruption that the fault
    began; None: nothing was interrupted, or nothing came back.
    """

    flow: str
    direction: str
    source: str
    target: str
    via: str
    outage_ms: float
    fault_ms: float
    return_ms: float
    loss_ms: float
    sent: int
    lost: int
    duplicated: int
    reordered: int
    recovered_after_ms: float | None
    verdict: Literal["passed", "missed", "inconclusive"]
    outages: tuple[OutageResult, ...] = ()


class PhaseResult(Struct, frozen=True):
    """``at_ms`` counts from the drill's beginning."""

    phase: str
    at_ms: float
    took_ms: float


class ProbeResult(Struct, frozen=True):
    """How good the instrument was: the resolution is ``interval_ms``."""

    interval_ms: float
    worst_stall_ms: float
    cpu_share: float
    instrument_faults: tuple[str, ...] = ()


class NameResult(Struct, frozen=True):
    """One name, asked from one cloud's name server. Milliseconds; those of moments count from the injection.

    ``outage_ms``: the longest time without a usable answer. ``gone_ms``: when a dead address was last handed out; None:
    never, or there is none. ``back_ms``: when it was handed out again, counted from the undo. ``before``, ``during``,
    ``after``: the addresses in the last answer of each part. ``failures``: what else came than a usable answer.
    """

    name: str
    cloud: str
    client: str
    server: str
    asked: int
    failed: int
    outage_ms: float
    gone_ms: float | None
    gone_limit_ms: float | None
    back_ms: float | None
    changed: int
    before: tuple[str, ...]
    during: tuple[str, ...]
    after: tuple[str, ...]
    failures: dict[str, int]
    verdict: Literal["passed", "missed", "inconclusive"]


class RequestsResult(Struct, frozen=True):
    """HTTP requests to one name from one client. ``failed_after``: of those that failed, how many began when no dead
    address was handed out any more; None: there is no such address. ``stretch_ms``: the longest time in which every
    request that began failed.
    ``last_failure_ms``: when the last one that failed began, from the injection. ``slowest_ms``: of those answered.
    ``before``, ``during``, ``after``: cloud → how many it answered."""

    name: str
    client: str
    cloud: str
    sent: int
    failed: int
    failed_after: int | None
    stretch_ms: float
    last_failure_ms: float | None
    slowest_ms: float
    failures: dict[str, int]
    before: dict[str, int]
    during: dict[str, int]
    after: dict[str, int]
    verdict: Literal["passed", "missed", "inconclusive"]


class ControlResult(Struct, frozen=True):
    """What the controllers said. Cluster → who led it before and at the end; cluster → after how many milliseconds
    another led it (None: none did). ``holds``: service → the reason of its hold during the fault; ``holds_left``: of
    those that were there at the end."""

    led_before: dict[str, str]
    led_after: dict[str, str]
    led_again_ms: dict[str, float | None]
    holds: dict[str, str]
    holds_left: dict[str, str]


class DrillResult(Struct, frozen=True):
    """The whole. Keys may be added, none renamed. ``worst_ms`` and ``median_ms`` (of the flows that were
    interrupted) are by direction."""

    id: str
    drill: str
    lab: str
    verdict: Verdict
    exit_code: int
    reason: str
    objective_ms: float | None
    worst_ms: dict[str, float]
    median_ms: dict[str, float]
    faults: tuple[str, ...]
    flows: tuple[FlowResult, ...]
    phases: tuple[PhaseResult, ...]
    started_wall: float
    duration_s: float
    probe: ProbeResult | None = None
    hint: str = ""
    notes: tuple[str, ...] = ()
    options: dict[str, str] = {}
    """The drill's own, as they were chosen in the end: provider, signal, vm, ..."""
    names: tuple[NameResult, ...] = ()
    requests: tuple[RequestsResult, ...] = ()
    control: ControlResult | None = None
    names_probe: ProbeResult | None = None
