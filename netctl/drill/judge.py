"""From what the probe saw to a verdict. Pure.

*missed*: a flow's outage, at the least it can have been, is over its limit. *passed*: at the most it can have been it
is not, and the instrument was fit to see one. Else *inconclusive*, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from netctl.drill.experiments import Experiment
from netctl.drill.flows import Measured
from netctl.drill.results import ControlResult, FlowResult, NameResult, OutageResult, ProbeResult, RequestsResult
from netctl.model.clock import MS
from netctl.probe.spec import FlowReport, Outage, ProbeReport

MAX_STALL_MS = 100.0
"""A longer time in which the probe sent nothing could hide an outage that matters."""

FlowVerdict = Literal["passed", "missed", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Moments:
    """When things happened, CLOCK_MONOTONIC in nanoseconds; ``undone_ns`` None: it never came to that."""

    baseline_ns: int
    injected_ns: int
    undone_ns: int | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """``reason`` is empty when passed."""

    verdict: FlowVerdict
    reason: str
    flows: tuple[FlowResult, ...]
    worst_ms: dict[str, float]
    median_ms: dict[str, float]
    probe: ProbeResult | None
    names: tuple[NameResult, ...] = ()
    requests: tuple[RequestsResult, ...] = ()
    control: ControlResult | None = None
    names_probe: ProbeResult | None = None


def judge(experiment: Experiment, measured: Sequence[Measured], moments: Moments, report: ProbeReport) -> Judgement:
    """The verdict on the flows of a drill."""
    reports = {flow.name: flow for flow in report.flows}
    worst_stall_ns = max((flow.worst_stall_ns for flow in report.flows), default=0)
    probe = ProbeResult(report.interval_ns / MS, _ms(worst_stall_ns), report.cpu_share, tuple(report.instrument_faults))
    flows = tuple(
        _flow(m, reports[m.flow.name], experiment.limit_ms(m.via), moments, report.interval_ns) for m in measured
    )
    directions = sorted({flow.direction for flow in flows})
    verdict, reason = _overall(experiment, flows, probe, _before(moments, report))
    return Judgement(
        verdict=verdict,
        reason=reason,
        flows=flows,
        worst_ms={d: max(f.outage_ms for f in flows if f.direction == d) for d in directions},
        median_ms={d: _median(f.outage_ms for f in flows if f.direction == d) for d in directions},
        probe=probe,
    )


def _ms(duration_ns: int) -> float:
    return round(duration_ns / MS, 1)


def _median(outages_ms: Iterable[float]) -> float:
    """Of the flows that were interrupted; 0: none was."""
    interrupted = [outage_ms for outage_ms in outages_ms if outage_ms > 0]
    return round(median(interrupted), 1) if interrupted else 0.0


def _before(moments: Moments, report: ProbeReport) -> list[str]:
    """Flows that lost packets between the baseline's beginning and the injection."""
    return [
        flow.name
        for flow in report.flows
        if any(
            o.start_ns >= moments.baseline_ns and o.end_ns is not None and o.end_ns <= moments.injected_ns
            for o in flow.outages
        )
    ]


def _flow(m: Measured, report: FlowReport, limit_ms: float, moments: Moments, interval_ns: int) -> FlowResult:
    relevant = [o for o in report.outages if o.end_ns is None or o.end_ns > moments.injected_ns]
    outages = tuple(_outage(o, moments, interval_ns) for o in relevant)
    lost = sum(o.lost for o in relevant)
    at_fault = [(o, r) for o, r in zip(relevant, outages, strict=True) if r.during == "fault"]
    longest = max(at_fault, key=lambda pair: pair[0].gap_ns, default=None)
    recovered_ns = longest[0].end_ns if longest else None
    worst_ms = max((o.outage_ms for o in outages), default=0.0)
    at_most_ms = max((o.at_most_ms for o in outages), default=0.0)
    verdict: FlowVerdict = "passed"
    if limit_ms == 0:
        verdict = "missed" if lost else "passed"
    elif worst_ms > limit_ms:
        verdict = "missed"
    elif at_most_ms > limit_ms:
        verdict = "inconclusive"
    return FlowResult(
        flow=m.flow.name,
        direction=m.direction,
        source=f"{m.flow.source_node}:{m.flow.source_port}",
        target=f"{m.flow.target_node}:{m.flow.target_port}",
        via=m.via,
        outage_ms=worst_ms,
        fault_ms=max((o.outage_ms for o in outages if o.during == "fault"), default=0.0),
        return_ms=max((o.outage_ms for o in outages if o.during == "return"), default=0.0),
        loss_ms=_ms(lost * interval_ns),
        sent=report.sent,
        lost=lost,
        duplicated=report.duplicated,
        reordered=report.reordered,
        recovered_after_ms=None if recovered_ns is None else _ms(recovered_ns - moments.injected_ns),
        verdict=verdict,
        outages=outages,
    )


def _outage(outage: Outage, moments: Moments, interval_ns: int) -> OutageResult:
    """The outage began after the last packet before it, so up to an interval later than ``start_ns``."""
    after = moments.undone_ns is not None and outage.start_ns + interval_ns > moments.undone_ns
    return OutageResult(
        during="return" if after else "fault",
        start_ms=_ms(outage.start_ns - moments.injected_ns),
        outage_ms=_ms(outage.gap_ns),
        at_most_ms=_ms(outage.at_most_ns),
        lost=outage.lost,
        recovered=outage.end_ns is not None,
    )


def _overall(
    experiment: Experiment, flows: Sequence[FlowResult], probe: ProbeResult, before: Sequence[str]
) -> tuple[FlowVerdict, str]:
    missed = [flow for flow in flows if flow.verdict == "missed"]
    if before:
        return "inconclusive", f"{len(before)} flows lost packets before the fault, first {before[0]}"
    if probe.instrument_faults:
        return "inconclusive", "; ".join(probe.instrument_faults)
    if missed:
        worst = max(missed, key=lambda flow: (flow.outage_ms, flow.lost))
        limit = experiment.limit_ms(worst.via)
        wanted = f"at most {limit:g} ms" if limit else "no packet lost"
        return "missed", (
            f"{len(missed)} of {len(flows)} flows missed the objective; worst: {worst.flow} by {worst.via}, "
            f"{worst.outage_ms:g} ms, {worst.lost} packets ({wanted})"
        )
    doubt = _doubt(experiment, flows, probe)
    return ("inconclusive", doubt) if doubt else ("passed", "")


def _doubt(experiment: Experiment, flows: Sequence[FlowResult], probe: ProbeResult) -> str:
    """Why a miss could have stayed unseen; empty: it could not."""
    if probe.worst_stall_ms > MAX_STALL_MS:
        return f"the probe itself stalled for {probe.worst_stall_ms:g} ms: the machine is too busy"
    for flow in flows:
        if flow.verdict == "inconclusive":
            return f"{flow.flow}: the probe was late just when its outage began or ended"
    if experiment.expected_hit is not None:
        for direction in sorted({flow.direction for flow in flows}):
            if not any(f.lost for f in flows if f.via == experiment.expected_hit and f.direction == direction):
                return f"the fault hit no flow {direction.replace('_', ' ')}: nothing was tested"
    return ""
