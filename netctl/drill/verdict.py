"""One verdict from everything that was measured. Pure. A miss outranks a doubt, a doubt outranks a pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from netctl.drill.control import Glance, summed_up
from netctl.drill.experiments import Experiment
from netctl.drill.flows import Measured
from netctl.drill.judge import FlowVerdict, Judgement, Moments, judge
from netctl.drill.names_judge import judge_names
from netctl.probe.names.spec import NamesReport
from netctl.probe.spec import ProbeReport

_RANK: tuple[FlowVerdict, ...] = ("missed", "inconclusive", "passed")


@dataclass(frozen=True, slots=True)
class Seen:
    """``flows``, ``names``: what the probes reported, as far as they were started. ``glances``: at the controllers."""

    measured: Sequence[Measured]
    flows: ProbeReport | None
    names: NamesReport | None
    glances: Sequence[Glance]


def judge_all(experiment: Experiment, moments: Moments, seen: Seen) -> Judgement | None:
    """None: nothing was measured."""
    found = judge(experiment, seen.measured, moments, seen.flows) if seen.flows is not None else None
    if experiment.names is None or seen.names is None:
        return found
    named = judge_names(experiment.names, moments, seen.names)
    control, missed = summed_up(experiment.names, seen.glances, moments.injected_ns, moments.undone_ns)
    verdict, reason = named.verdict, named.reason
    if missed and verdict != "missed":
        verdict, reason = "missed", "; ".join(missed)
    elif missed:
        reason = "; ".join([reason, *missed])
    whole = found or Judgement("passed", "", (), {}, {}, None)
    if _RANK.index(whole.verdict) < _RANK.index(verdict):
        verdict, reason = whole.verdict, "; ".join(filter(None, (whole.reason, reason)))
    elif whole.verdict == verdict:
        reason = "; ".join(filter(None, (whole.reason, reason)))
    return replace(
        whole,
        verdict=verdict,
        reason=reason,
        names=named.names,
        requests=named.requests,
        control=control,
        names_probe=named.probe,
    )
