"""Verdicts on names and requests, from reports whose truth is known. A lookup and a visit each 20 ms; the fault is from
2000 to 5000 ms, the measurement ends at 8000."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from netctl.drill.judge import Moments
from netctl.drill.names_judge import NamesJudgement, judge_names
from netctl.drill.watch import NamesWatch, WatchedLookup, WatchedVisit
from netctl.model.clock import MS
from netctl.probe.names.spec import (
    Answer,
    Ending,
    Lookup,
    LookupReport,
    NamesReport,
    Series,
    Visit,
    VisitReport,
)

INJECTED, UNDONE, END = 2000, 5000, 8000
MOMENTS = Moments(1000 * MS, INJECTED * MS, UNDONE * MS)
BOTH = Answer("NOERROR", ("10.1.1.10", "10.1.2.10"))
ALIVE = Answer("NOERROR", ("10.1.2.10",))
NOBODY = Answer("NXDOMAIN")
FROM_DEAD, FROM_ALIVE = Ending("ok", "10.1.1.10", "a-vm1", "a"), Ending("ok", "10.1.2.10", "a-vm2", "a")
REFUSED = Ending("refused", "10.1.1.10")
LOOKUP = Lookup("orders in a", "a-vm3", "10.1.5.53", "orders.netctl.internal")
VISIT = Visit("orders from a-vm3", "a-vm3", "10.1.5.53", "orders.netctl.internal")
Told = Callable[[int], Answer]
Ended = Callable[[int], Ending]
SKIPPED: Callable[[int], bool] = lambda _: False  # noqa: E731


def died(gone_ms: int, back_ms: int = UNDONE + 200) -> Told:
    """The dead address stays in the answer until so long after the fault, and returns at a moment."""
    return lambda at_ms: ALIVE if INJECTED + gone_ms <= at_ms < back_ms else BOTH


def served(gone_ms: int) -> Ended:
    """In turn by both; the dead one is tried while it is handed out."""

    def ended(at_ms: int) -> Ending:
        if at_ms // 20 % 2 or INJECTED + gone_ms <= at_ms < UNDONE + 200:
            return FROM_ALIVE
        return REFUSED if INJECTED <= at_ms < UNDONE else FROM_DEAD

    return ended


def judged(
    told: Told,
    ended: Ended,
    *,
    gone_ms: float | None = 1000.0,
    unchanged: bool = False,
    stretch_ms: float | None = None,
    dead: tuple[str, ...] = ("10.1.1.10",),
    skipped: Callable[[int], bool] = SKIPPED,
    took_ms: int = 2,
    until_ms: int = END,
    undone_ms: int = UNDONE,
) -> NamesJudgement:
    moments = [at_ms for at_ms in range(0, until_ms, 20) if not skipped(at_ms)]
    answers = list(dict.fromkeys(map(told, moments)))
    endings = list(dict.fromkeys(map(ended, moments)))
    begun, took = tuple(at * 1000 for at in moments), (took_ms * 1000,) * len(moments)
    report = NamesReport(
        started_ns=0,
        ended_ns=until_ms * MS,
        lookup_interval_us=20_000,
        visit_interval_us=20_000,
        lookups=(
            LookupReport(
                LOOKUP.name, tuple(answers), Series(begun, took, tuple(answers.index(told(m)) for m in moments))
            ),
        ),
        visits=(
            VisitReport(
                VISIT.name, tuple(endings), Series(begun, took, tuple(endings.index(ended(m)) for m in moments))
            ),
        ),
    )
    watch = NamesWatch(
        (WatchedLookup(LOOKUP, "a", gone_ms, unchanged),), (WatchedVisit(VISIT, "a", stretch_ms),), 1000.0, dead
    )
    return judge_names(watch, Moments(MOMENTS.baseline_ns, MOMENTS.injected_ns, undone_ms * MS), report)


def test_a_dead_address_that_leaves_in_time_and_whom_nobody_meets_after_that_passes() -> None:
    whole = judged(died(260), served(260))
    assert (whole.verdict, whole.reason) == ("passed", "")
    (name,), (requests,) = whole.names, whole.requests
    assert (name.gone_ms, name.back_ms, name.outage_ms, name.failed) == (242.0, 202.0, 0.0, 0)
    assert (name.before, name.during, name.after) == (BOTH.addresses, ALIVE.addresses, BOTH.addresses)
    assert (requests.failed, requests.failed_after, requests.last_failure_ms) == (7, 0, 240.0)
    assert (requests.stretch_ms, requests.failures) == (20.0, {"refused": 7})
    assert (list(requests.before), list(requests.during), list(requests.after)) == (["a"], ["a"], ["a"])


def test_a_dead_address_that_stays_too_long_misses_and_says_where_and_how_long() -> None:
    whole = judged(died(1100), served(1100))
    assert whole.verdict == "missed"
    assert "orders.netctl.internal in a had a dead address for 1082 ms (at most 1000 ms)" in whole.reason


def test_a_dead_address_that_comes_back_within_the_fault_counts_to_its_last_moment() -> None:
    again: Told = lambda at_ms: BOTH if at_ms == 4000 else died(260)(at_ms)  # noqa: E731
    assert judged(again, served(260)).names[0].gone_ms == 2002.0


def test_a_fault_that_ends_before_the_address_has_left_or_is_late_tells_nothing() -> None:
    whole = judged(died(3000), served(500), undone_ms=2500)
    assert (whole.verdict, "too short to tell" in whole.reason) == ("inconclusive", True)


def test_a_request_that_fails_when_no_dead_address_is_handed_out_any_more_misses() -> None:
    late: Ended = lambda at_ms: Ending("timeout", "10.1.2.10") if at_ms == 3000 else served(260)(at_ms)  # noqa: E731
    whole = judged(died(260), late)
    assert (whole.verdict, whole.requests[0].failed_after) == ("missed", 1)
    assert "8 of 300 failed (7 refused, 1 timeout)" in whole.reason
    assert "1 after no dead address was handed out any more" in whole.reason


def test_a_request_that_fails_at_the_return_misses_too() -> None:
    early: Ended = lambda at_ms: REFUSED if at_ms == 5200 else served(260)(at_ms)  # noqa: E731
    assert judged(died(260), early).requests[0].failed_after == 1


def test_a_request_that_met_the_dead_after_the_last_lookup_did_counts_as_handed_out_not_as_after_that() -> None:
    whole = judged(died(260), lambda at_ms: REFUSED if at_ms == 2280 else served(260)(at_ms))
    assert (whole.verdict, whole.requests[0].failed_after) == ("passed", 0)


@pytest.mark.parametrize("bad", [NOBODY, Answer("NOERROR"), Answer("timeout"), Answer("SERVFAIL")])
def test_a_single_lookup_without_a_usable_answer_is_an_outage_in_names(bad: Answer) -> None:
    whole = judged(lambda at_ms: bad if at_ms == 2100 else died(260)(at_ms), served(260))
    assert (whole.verdict, whole.names[0].outage_ms) == ("missed", 20.0)
    assert "had no usable answer for 20 ms" in whole.reason


def test_an_outage_in_names_that_does_not_end_lasts_to_the_end_of_the_measurement() -> None:
    whole = judged(lambda at_ms: NOBODY if at_ms >= 2400 else BOTH, served(260))
    assert whole.names[0].outage_ms == END - 2400
    assert whole.names[0].failures == {"NXDOMAIN": (END - 2400) // 20}


def test_answers_that_have_to_stay_miss_when_one_differs() -> None:
    quiet: Ended = lambda _: FROM_ALIVE  # noqa: E731
    same = judged(lambda _: BOTH, quiet, gone_ms=None, unchanged=True, stretch_ms=0.0, dead=())
    assert (same.verdict, same.names[0].changed, same.requests[0].failed_after) == ("passed", 0, None)
    differs = judged(died(260), quiet, gone_ms=None, unchanged=True, stretch_ms=0.0, dead=())
    assert differs.verdict == "missed"
    assert "had another answer 147 times of 300" in differs.reason


def test_requests_may_fail_for_as_long_as_they_are_allowed_to_at_a_stretch() -> None:
    cut: Ended = lambda at_ms: Ending("timeout", "10.2.2.10") if 2000 <= at_ms < 2140 else FROM_ALIVE  # noqa: E731
    allowed = judged(lambda _: BOTH, cut, gone_ms=None, stretch_ms=140.0, dead=())
    assert (allowed.verdict, allowed.requests[0].stretch_ms) == ("passed", 140.0)
    assert judged(lambda _: BOTH, cut, gone_ms=None, stretch_ms=139.0, dead=()).verdict == "missed"
    assert judged(lambda _: BOTH, cut, gone_ms=None, stretch_ms=0.0, dead=()).verdict == "missed"


def test_a_request_under_way_when_the_fault_begins_belongs_to_the_fault() -> None:
    cut: Ended = lambda at_ms: Ending("reset", "10.2.2.10") if at_ms == 1980 else FROM_ALIVE  # noqa: E731
    whole = judged(lambda _: BOTH, cut, gone_ms=None, stretch_ms=0.0, dead=(), took_ms=100)
    assert (whole.verdict, whole.requests[0].failed, whole.requests[0].last_failure_ms) == ("missed", 1, -20.0)


@pytest.mark.parametrize(
    ("told", "ended"),
    [
        (lambda at_ms: NOBODY if at_ms == 1500 else died(260)(at_ms), served(260)),
        (died(260), lambda at_ms: REFUSED if at_ms == 1500 else served(260)(at_ms)),
    ],
)
def test_what_goes_wrong_before_the_fault_makes_it_inconclusive(told: Told, ended: Ended) -> None:
    whole = judged(told, ended)
    assert (whole.verdict, "before the fault: orders" in whole.reason) == ("inconclusive", True)


def test_what_goes_wrong_before_the_baseline_is_the_start_and_does_not_count() -> None:
    assert judged(lambda at_ms: NOBODY if at_ms < 500 else died(260)(at_ms), served(260)).verdict == "passed"


def test_an_address_that_was_in_no_answer_tests_nothing() -> None:
    whole = judged(lambda _: ALIVE, lambda _: FROM_ALIVE)
    assert (whole.verdict, "nothing was tested" in whole.reason) == ("inconclusive", True)


def test_a_probe_that_stalled_cannot_pass_but_can_miss() -> None:
    stalled: Callable[[int], bool] = lambda at_ms: 3000 < at_ms < 3360  # noqa: E731
    whole = judged(died(260), served(260), skipped=stalled)
    assert (whole.verdict, whole.probe.worst_stall_ms) == ("inconclusive", 340.0)
    assert judged(died(1100), served(1100), skipped=stalled).verdict == "missed"


def test_every_part_of_a_judgement_can_be_kept() -> None:
    whole = judged(died(260), served(260))
    for part in (*whole.names, *whole.requests, whole.probe):
        assert msgspec.json.decode(msgspec.json.encode(part), type=type(part)) == part
