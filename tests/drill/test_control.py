"""What the controllers said, and the one verdict of everything."""

from __future__ import annotations

from typing import Any

import pytest

from netctl.drill.control import Glance, glance, leaders, summed_up
from netctl.drill.experiments import Experiment, Objective
from netctl.drill.flows import Measured
from netctl.drill.judge import Moments
from netctl.drill.verdict import Seen, judge_all
from netctl.drill.watch import NamesWatch, WatchedLookup
from netctl.model.clock import MS, SECOND
from netctl.probe.names.spec import Answer, Lookup, LookupReport, NamesReport, Series
from netctl.probe.spec import Flow, FlowReport, Outage, ProbeReport

INJECTED_NS, UNDONE_NS = 2 * SECOND, 9 * SECOND
KILL = NamesWatch((), (), 5000.0, led=("a", "b"), led_within_ms=5000.0, killed="c2")
WIPE = NamesWatch((), (), 0.0, held=("orders", "web"))


def body(states: dict[str, str], *held: str) -> dict[str, Any]:
    clusters = [{"name": name, "state": state} for name, state in states.items()]
    return {"clusters": clusters, "holds": [{"service": s, "reason": f"{s} shrank"} for s in held]}


def at(ms: int, leading: dict[str, str], *held: str) -> Glance:
    return Glance(INJECTED_NS + ms * MS, leading, {service: f"{service} shrank" for service in held})


def test_a_glance_says_who_leads_and_what_is_held_as_far_as_controllers_answer() -> None:
    bodies = {
        "c1": body({"a": "standby", "b": "leading"}, "orders"),
        "c2": body({"a": "leading", "b": "standby"}),
        "c3": None,
    }
    assert leaders(bodies) == {"a": "c2", "b": "c1"}
    assert glance(bodies, 5) == Glance(9, {"a": "c2", "b": "c1"}, {"orders": "orders shrank"})


def test_another_leads_from_the_first_moment_at_which_another_says_so() -> None:
    seen = [
        at(-500, {"a": "c2", "b": "c2"}),
        at(50, {}),
        at(2400, {"a": "c1"}),
        at(2900, {"a": "c1", "b": "c1"}),
    ]
    control, missed = summed_up(KILL, seen, INJECTED_NS, UNDONE_NS)
    assert missed == []
    assert control.led_again_ms == {"a": 2400.0, "b": 2900.0}
    assert (control.led_before, control.led_after) == ({"a": "c2", "b": "c2"}, {"a": "c1", "b": "c1"})


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ([at(5100, {"a": "c1", "b": "c1"})], "led again after 5100 ms (at most 5000 ms)"),
        ([at(400, {"a": "c2", "b": "c2"})], "nobody but c2 led cluster a again"),
        ([], "nobody but c2 led cluster b again"),
    ],
)
def test_too_late_or_the_same_one_again_misses(seen: list[Glance], said: str) -> None:
    _, missed = summed_up(KILL, [at(-500, {"a": "c2", "b": "c2"}), *seen], INJECTED_NS, UNDONE_NS)
    assert len(missed) == 2
    assert any(said in what for what in missed)


def test_every_service_has_to_be_held_during_the_fault_and_none_at_the_end() -> None:
    calm, held = at(-500, {}), at(300, {}, "orders", "web")
    control, missed = summed_up(WIPE, [calm, held, at(8000, {})], INJECTED_NS, UNDONE_NS)
    assert missed == []
    assert control.holds == {"orders": "orders shrank", "web": "web shrank"}
    _, missed = summed_up(WIPE, [calm, at(300, {}, "orders"), at(8000, {}, "orders")], INJECTED_NS, UNDONE_NS)
    assert missed == ["no hold was shown for web", "a hold is left for orders"]
    _, missed = summed_up(WIPE, [calm, at(7500, {}, "orders", "web"), at(8000, {})], INJECTED_NS, UNDONE_NS)
    assert missed == ["no hold was shown for orders, web"]  # only after the undo


# --- one verdict -----------------------------------------------------------------------------------------------------

FLOW = Measured(Flow("f", "s", "10.1.1.1", 1, "t", "10.2.1.1", 2), "a_to_b", "pa")
MOMENTS = Moments(SECOND, INJECTED_NS, UNDONE_NS)
GOOD = Answer("NOERROR", ("10.1.1.10",))
BESIDE = NamesWatch((WatchedLookup(Lookup("l", "a-vm3", "10.1.5.53", "orders.x"), "a"),), (), 1200.0)


def flows(outage_ms: int, early: bool = False) -> ProbeReport:
    start_ns = INJECTED_NS - (900 * MS if early else 0)
    outages = (
        (Outage(start_ns, start_ns + outage_ms * MS, outage_ms * MS, outage_ms * MS, 3, 15 * MS),) if outage_ms else ()
    )
    return ProbeReport(5 * MS, 0, 12 * SECOND, (FlowReport("f", 2000, 1990, 3, 0, 0, outages, 0),))


def names(bad_at_ms: int | None) -> NamesReport:
    begun = tuple(range(0, 12_000_000, 20_000))
    ended = tuple(int(bad_at_ms is not None and at_us == bad_at_ms * 1000) for at_us in begun)
    series = Series(begun, (1000,) * len(begun), ended)
    return NamesReport(0, 12 * SECOND, 20_000, 20_000, (LookupReport("l", (GOOD, Answer("SERVFAIL")), series),), ())


@pytest.mark.parametrize(
    ("outage_ms", "early", "bad_at_ms", "verdict", "said"),
    [
        (150, False, None, "passed", ()),
        (250, False, None, "missed", ("1 of 1 flows missed",)),
        (150, False, 3000, "missed", ("no usable answer",)),
        (250, False, 3000, "missed", ("1 of 1 flows missed", "no usable answer")),
        (50, True, None, "inconclusive", ("lost packets before the fault",)),
        (50, True, 3000, "missed", ("no usable answer",)),
        (250, False, 1500, "missed", ("1 of 1 flows missed",)),
        (150, False, 1500, "inconclusive", ("before the fault: l",)),
    ],
)
def test_a_miss_outranks_a_doubt_and_a_doubt_a_pass_whichever_probe_saw_it(
    outage_ms: int, early: bool, bad_at_ms: int | None, verdict: str, said: tuple[str, ...]
) -> None:
    cut = Experiment("provider-cut", (), (Objective(200.0),), 7.0, names=BESIDE)
    judged = judge_all(cut, MOMENTS, Seen([FLOW], flows(outage_ms, early), names(bad_at_ms), []))
    assert judged is not None
    assert judged.verdict == verdict, judged.reason
    assert all(words in judged.reason for words in said)
    assert bool(judged.reason) == (verdict != "passed")
    assert judged.worst_ms == {"a_to_b": float(outage_ms) if not early else 0.0}
    assert [name.cloud for name in judged.names] == ["a"]


def test_a_drill_without_flows_is_judged_by_names_and_controllers_alone() -> None:
    kill = Experiment(
        "controller-kill",
        (),
        (),
        7.0,
        names=NamesWatch(BESIDE.lookups, (), 5000.0, led=("a",), led_within_ms=5000.0, killed="c2"),
    )
    for glances, verdict in (([at(900, {"a": "c1"})], "passed"), ([], "missed")):
        judged = judge_all(kill, MOMENTS, Seen([], None, names(None), glances))
        assert judged is not None
        assert (judged.verdict, judged.flows, judged.probe) == (verdict, (), None)


def test_without_any_report_there_is_no_judgement() -> None:
    assert judge_all(Experiment("agent-kill", (), (Objective(0.0),), 3.0), MOMENTS, Seen([], None, None, [])) is None
