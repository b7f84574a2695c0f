"""From a drill's course and judgement to the result that is kept. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netctl.drill.decide import Course, Outcome, Phase
from netctl.drill.experiments import Experiment, Options
from netctl.drill.judge import Judgement
from netctl.drill.results import EXIT_CODES, DrillResult, PhaseResult, Verdict
from netctl.fault.faults import Fault, LinkCut, ProcessHold, ProcessKill, RegistryWipe
from netctl.model.clock import MS, SECOND

_PLAIN: dict[Outcome, Verdict] = {
    Outcome.REFUSED: "refused",
    Outcome.ABORTED: "aborted",
    Outcome.RESTORE_FAILED: "restore_failed",
    Outcome.INCONCLUSIVE: "inconclusive",
    Outcome.UNSETTLED: "missed",  # whatever the flows saw, the lab did not converge
}


@dataclass(frozen=True, slots=True)
class Run:
    """What identifies and times one drill; ``phases`` are (phase, its beginning).

    ``injecting``: the fault was asked for, whatever came of it. ``lab_gone``: the lab was taken down meanwhile.
    """

    id: str
    drill: str
    lab: str
    started_wall: float
    started_ns: int
    ended_ns: int
    phases: Sequence[tuple[Phase, int]]
    notes: tuple[str, ...]
    options: Options
    injecting: bool
    lab_gone: bool


def result(
    run: Run,
    course: Course,
    experiment: Experiment | None,
    judgement: Judgement | None,
    refusal: tuple[int | None, str],
) -> DrillResult:
    """``refusal``: the exit code and hint of the first error, which a refused drill passes on."""
    verdict: Verdict
    if course.outcome in _PLAIN:
        verdict, reason = _PLAIN[course.outcome], course.reason
    elif judgement is None:
        verdict, reason = "inconclusive", "nothing was measured"
    else:
        verdict, reason = judgement.verdict, judgement.reason
    if verdict == "aborted":
        reason += _put_back(run, experiment)
    code, hint = refusal
    return DrillResult(
        id=run.id,
        drill=run.drill,
        lab=run.lab,
        verdict=verdict,
        exit_code=code if verdict == "refused" and code is not None else EXIT_CODES[verdict],
        reason=reason,
        objective_ms=experiment.objective_ms if experiment else None,
        worst_ms=judgement.worst_ms if judgement else {},
        median_ms=judgement.median_ms if judgement else {},
        faults=tuple(map(str, experiment.faults)) if experiment else (),
        flows=judgement.flows if judgement else (),
        phases=_phases(run),
        started_wall=run.started_wall,
        duration_s=round((run.ended_ns - run.started_ns) / SECOND, 1),
        probe=judgement.probe if judgement else None,
        hint=hint,
        notes=run.notes,
        options=experiment.options if experiment else run.options.given(),
        names=judgement.names if judgement else (),
        requests=judgement.requests if judgement else (),
        control=judgement.control if judgement else None,
        names_probe=judgement.names_probe if judgement else None,
    )


def _put_back(run: Run, experiment: Experiment | None) -> str:
    """What became of the fault of a drill that was aborted."""
    if experiment is None or not run.injecting:
        return "; nothing had been done yet"
    if run.lab_gone:
        return ", and the fault with it"
    lasting = [str(fault) for fault in experiment.faults if _lasts(fault)]
    passing = [str(fault) for fault in experiment.faults if not _lasts(fault)]
    words = f"; the fault was taken back: {'; '.join(lasting)}" if lasting else ""
    return words + (f"; what comes back by itself: {'; '.join(passing)}" if passing else "")


def _lasts(fault: Fault) -> bool:
    """It stays until it is taken back; what is killed or reset comes back without that."""
    if isinstance(fault, ProcessKill):
        return fault.signal == "STOP"
    return isinstance(fault, LinkCut | ProcessHold | RegistryWipe)


def _phases(run: Run) -> tuple[PhaseResult, ...]:
    ends = [at for _, at in run.phases[1:]] + [run.ended_ns]
    return tuple(
        PhaseResult(phase.value, _ms(at - run.started_ns), _ms(end - at))
        for (phase, at), end in zip(run.phases, ends, strict=True)
        if phase is not Phase.DONE
    )


def _ms(duration_ns: int) -> float:
    return round(duration_ns / MS, 1)
