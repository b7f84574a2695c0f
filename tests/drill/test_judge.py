"""Verdicts from reports whose truth is known."""

from __future__ import annotations

from netctl.drill.experiments import Experiment, Objective
from netctl.drill.flows import Measured
from netctl.drill.judge import Judgement, Moments, judge
from netctl.model.clock import MS, SECOND
from netctl.probe.spec import Flow, FlowReport, Outage, ProbeReport

MOMENTS = Moments(baseline_ns=1 * SECOND, injected_ns=2 * SECOND, undone_ns=5 * SECOND)
CUT = Experiment("provider-cut", (), (Objective(200.0),), 3.0, expected_hit="pa")
RESET = Experiment("bgp-reset", (), (Objective(0.0, "!pa"), Objective(1000.0, "pa")), 3.0)


def outage(start_ms: float, length_ms: float, doubt_ms: float = 0.0) -> Outage:
    start_ns, gap_ns = int(start_ms * MS), int(length_ms * MS)
    at_most_ns = gap_ns + int(doubt_ms * MS)
    lost = max(1, int(length_ms) // 5 - 1)
    return Outage(start_ns, start_ns + at_most_ns, gap_ns, at_most_ns, lost, lost * 5 * MS)


def verdict(
    outages: dict[str, list[Outage]],
    experiment: Experiment = CUT,
    stall_ms: float = 0.0,
    faults: tuple[str, ...] = (),
) -> Judgement:
    """Flows are named DIRECTION/VIA; those not given lost nothing."""
    names = [f"{direction}/{via}" for direction in ("a_to_b", "b_to_a") for via in ("pa", "pb")]
    measured = [Measured(Flow(name, "s", "10.1.1.1", 1, "t", "10.2.1.1", 2), *name.split("/")) for name in names]
    flows = tuple(
        FlowReport(
            name=name,
            sent=2000,
            received=2000 - sum(o.lost for o in outages.get(name, [])),
            lost=sum(o.lost for o in outages.get(name, [])),
            duplicated=0,
            reordered=0,
            outages=tuple(outages.get(name, [])),
            worst_stall_ns=int(stall_ms * MS),
        )
        for name in names
    )
    return judge(experiment, measured, MOMENTS, ProbeReport(5 * MS, 0, 10 * SECOND, flows, faults))


BOTH_HIT = {"a_to_b/pa": [outage(2000, 150)], "b_to_a/pa": [outage(1999, 160)]}


def test_outages_within_the_objective_pass_and_are_reported_by_direction() -> None:
    judged = verdict(BOTH_HIT)
    assert (judged.verdict, judged.reason) == ("passed", "")
    assert judged.worst_ms == {"a_to_b": 150.0, "b_to_a": 160.0}
    assert judged.median_ms == {"a_to_b": 150.0, "b_to_a": 160.0}


def test_one_flow_over_the_objective_misses() -> None:
    judged = verdict({**BOTH_HIT, "a_to_b/pa": [outage(2000, 201)]})
    assert judged.verdict == "missed"
    assert "a_to_b/pa by pa, 201 ms" in judged.reason


def test_an_outage_at_the_return_counts_too() -> None:
    judged = verdict({**BOTH_HIT, "b_to_a/pa": [outage(2000, 150), outage(5100, 300)]})
    flow = next(f for f in judged.flows if f.flow == "b_to_a/pa")
    assert judged.verdict == "missed"
    assert (flow.fault_ms, flow.return_ms, flow.outage_ms) == (150.0, 300.0, 300.0)
    assert flow.recovered_after_ms == 150.0


def test_a_fault_that_hit_nothing_tested_nothing() -> None:
    assert verdict({"a_to_b/pa": [outage(2000, 150)]}).verdict == "inconclusive"


def test_loss_before_the_fault_makes_it_inconclusive() -> None:
    assert verdict({**BOTH_HIT, "a_to_b/pb": [outage(1200, 20)]}).verdict == "inconclusive"


def test_loss_before_the_baseline_is_the_start_of_the_flows_and_does_not_count() -> None:
    assert verdict({**BOTH_HIT, "a_to_b/pb": [outage(200, 20)]}).verdict == "passed"


def test_an_outage_that_only_the_probes_own_delay_could_make_too_long_is_inconclusive() -> None:
    judged = verdict({**BOTH_HIT, "a_to_b/pa": [outage(2000, 180, doubt_ms=30)]})
    assert judged.verdict == "inconclusive"


def test_a_probe_that_stalled_cannot_pass_but_can_miss() -> None:
    assert verdict(BOTH_HIT, stall_ms=150).verdict == "inconclusive"
    assert verdict({**BOTH_HIT, "a_to_b/pa": [outage(2000, 400)]}, stall_ms=150).verdict == "missed"


def test_a_faulty_instrument_gives_no_verdict() -> None:
    assert verdict(BOTH_HIT, faults=("the wall clock was stepped",)).verdict == "inconclusive"


def test_with_an_objective_of_none_lost_one_packet_misses() -> None:
    assert verdict({"a_to_b/pb": [outage(2000, 5)]}, RESET).verdict == "missed"


def test_objectives_apply_to_the_flows_they_cover() -> None:
    assert verdict({"a_to_b/pa": [outage(2000, 900)]}, RESET).verdict == "passed"
