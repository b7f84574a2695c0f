"""What a drill that was aborted says about its fault, and what is kept of its options."""

from __future__ import annotations

import pytest

from netctl.drill.decide import Course, Outcome, Phase
from netctl.drill.experiments import Experiment, Objective, Options
from netctl.drill.report import Run, result
from netctl.drill.results import DrillResult
from netctl.fault.faults import BgpReset, Fault, LinkCut, LinkEnd, ProcessKill

CUT = LinkCut((LinkEnd("/run/netns/ga", "gw-pa"),))
KILLED = ProcessKill("agent of ga", 7, 1, "KILL")
STOPPED = ProcessKill("agent of ga", 7, 1, "STOP")
RESET = BgpReset("ga", "pa", "/a")


def aborted(*faults: Fault, injecting: bool = True, lab_gone: bool = False, chosen: bool = True) -> DrillResult:
    experiment = Experiment("some", faults, (Objective(0.0),), 3.0, options={"provider": "pa"})
    given = Options(provider="px", signal="STOP")
    run = Run("id", "some", "lab", 0.0, 0, 0, [(Phase.START, 0)], (), given, injecting, lab_gone)
    course = Course(outcome=Outcome.ABORTED, reason="the lab was taken down" if lab_gone else "interrupted by SIGINT")
    return result(run, course, experiment if chosen else None, None, (None, ""))


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ((CUT,), "; the fault was taken back: cut ga:gw-pa"),
        ((STOPPED,), "; the fault was taken back: stop agent of ga (pid 7)"),
        ((RESET,), "; what comes back by itself: reset BGP ga - pa"),
        (
            (KILLED, CUT),
            "; the fault was taken back: cut ga:gw-pa; what comes back by itself: kill -9 agent of ga (pid 7)",
        ),
    ],
)
def test_an_aborted_drill_says_what_was_put_back(faults: tuple[Fault, ...], words: str) -> None:
    assert aborted(*faults).reason == f"interrupted by SIGINT{words}"


@pytest.mark.parametrize("chosen", [False, True])
def test_an_aborted_drill_that_had_done_nothing_says_so(chosen: bool) -> None:
    done = aborted(CUT, injecting=False, chosen=chosen)
    assert done.reason == "interrupted by SIGINT; nothing had been done yet"
    assert done.exit_code == 4


def test_a_fault_whose_lab_was_taken_down_went_with_it() -> None:
    assert aborted(CUT, lab_gone=True).reason == "the lab was taken down, and the fault with it"
    assert aborted(CUT, lab_gone=True, injecting=False).reason == "the lab was taken down; nothing had been done yet"


def test_the_options_kept_are_those_that_were_chosen_or_else_those_that_were_given() -> None:
    assert aborted(CUT).options == {"provider": "pa"}
    assert aborted(CUT, chosen=False).options == {"provider": "px", "signal": "STOP"}
