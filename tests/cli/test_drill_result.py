"""A drill's result as people see it."""

from __future__ import annotations

import json

import msgspec
import pytest

from netctl.cli.drill_result import show_result, show_results
from netctl.cli.main import main
from netctl.cli.output import Format
from netctl.drill.results import (
    ControlResult,
    DrillResult,
    FlowResult,
    NameResult,
    PhaseResult,
    ProbeResult,
    RequestsResult,
)


def flow(name: str, via: str, fault_ms: float = 0.0, return_ms: float = 0.0, missed: bool = False) -> FlowResult:
    worst = max(fault_ms, return_ms)
    return FlowResult(
        flow=name,
        direction=name[:6],
        source="a:1",
        target="b:2",
        via=via,
        outage_ms=worst,
        fault_ms=fault_ms,
        return_ms=return_ms,
        loss_ms=worst,
        sent=1000,
        lost=int(worst) // 5,
        duplicated=0,
        reordered=0,
        recovered_after_ms=fault_ms or None,
        verdict="missed" if missed else "passed",
    )


FLOWS = (
    flow("a_to_b-0", "pa", 150.0),
    flow("a_to_b-1", "pa", 100.0, 300.0, missed=True),
    flow("a_to_b-2", "pa"),
    flow("a_to_b-3", "pb"),
    flow("a_to_b-4", "pb"),
    flow("b_to_a-0", "pb", 10.0),
)
RESULT = DrillResult(
    id="provider-cut-1",
    drill="provider-cut",
    lab="lab",
    verdict="missed",
    exit_code=1,
    reason="1 of 6 flows missed",
    objective_ms=200.0,
    worst_ms={"a_to_b": 300.0, "b_to_a": 10.0},
    median_ms={"a_to_b": 150.0, "b_to_a": 10.0},
    faults=("cut",),
    flows=FLOWS,
    phases=(PhaseResult("lock", 0.0, 1.0),),
    started_wall=0.0,
    duration_s=11.5,
    probe=ProbeResult(5.0, 0.0, 0.1),
    options={"provider": "pa", "agents": "KILL"},
)


def shown(capsys: pytest.CaptureFixture[str], output: Format) -> list[list[str]]:
    """The words of each line."""
    show_result(RESULT, output)
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_each_interrupted_flow_has_its_line_and_the_others_share_one(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, Format.table)
    assert lines[1:7] == [
        ["a_to_b-0", "pa", "150", "0", "30", "150", "passed"],
        ["a_to_b-1", "pa", "100", "300", "60", "100", "missed"],
        ["b_to_a-0", "pb", "10", "0", "2", "10", "passed"],
        ["a_to_b:", "1", "others", "pa", "0", "0", "0", "-", "passed"],
        ["a_to_b:", "2", "flows", "pb", "0", "0", "0", "-", "passed"],
        [],
    ]


def test_a_line_for_each_direction_and_provider_sums_up(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, Format.table)
    at = next(number for number, words in enumerate(lines) if words[:4] == ["DIRECTION", "VIA", "FLOWS", "HIT"])
    assert lines[at + 1 : at + 5] == [
        ["a", "to", "b", "pa", "3", "2", "150", "125", "300", "90", "missed"],
        ["a", "to", "b", "pb", "2", "0", "0", "0", "0", "0", "passed"],
        ["b", "to", "a", "pb", "1", "1", "10", "10", "0", "2", "passed"],
        [],
    ]


def test_wide_shows_every_flow(capsys: pytest.CaptureFixture[str]) -> None:
    assert [words[0] for words in shown(capsys, Format.wide)[1:7]] == [f.flow for f in FLOWS]


def test_phases_are_for_wide_and_a_refused_drill_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    refused = msgspec.structs.replace(RESULT, verdict="refused", flows=())
    heading = ["PHASE", "AT", "S", "TOOK", "S"]
    assert heading not in shown(capsys, Format.table)
    assert heading in shown(capsys, Format.wide)
    show_result(refused, Format.wide)
    assert "PHASE" not in capsys.readouterr().out


def test_the_last_line_tells_options_verdict_and_worst_outage(capsys: pytest.CaptureFixture[str]) -> None:
    show_result(RESULT, Format.table)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "provider-cut (provider pa, agents KILL) in lab lab: missed; worst outage 300 ms "
        "(objective 200 ms, resolution 5 ms); 1 of 6 flows missed"
    )


NAMED = DrillResult(
    id="vm-death-1",
    drill="vm-death",
    lab="lab",
    verdict="passed",
    exit_code=0,
    reason="",
    objective_ms=1000.0,
    worst_ms={},
    median_ms={},
    faults=("kill -9",),
    flows=(),
    phases=(PhaseResult("lock", 0.0, 1.0),),
    started_wall=0.0,
    duration_s=13.0,
    options={"vm": "a-vm1"},
    names=tuple(
        NameResult(
            name=name,
            cloud=cloud,
            client=f"{cloud}-vm3",
            server="10.1.5.53",
            asked=300,
            failed=0,
            outage_ms=0.0,
            gone_ms=gone_ms,
            gone_limit_ms=limit_ms,
            back_ms=gone_ms,
            changed=0,
            before=("10.1.1.10", "10.1.2.10"),
            during=("10.1.2.10",),
            after=("10.1.1.10", "10.1.2.10"),
            failures={},
            verdict="passed",
        )
        for name, cloud, gone_ms, limit_ms in (
            ("orders.netctl.internal", "a", 260.5, 1000.0),
            ("orders.netctl.internal", "b", None, 1000.0),
            ("orders.a.netctl.internal", "b", 1250.0, 2000.0),
        )
    ),
    requests=(
        RequestsResult(
            name="orders.netctl.internal",
            client="a-vm3",
            cloud="a",
            sent=300,
            failed=7,
            failed_after=0,
            stretch_ms=40.0,
            last_failure_ms=239.0,
            slowest_ms=3.5,
            failures={"refused": 7},
            before={"a": 100},
            during={"a": 90, "b": 3},
            after={"a": 100},
            verdict="passed",
        ),
    ),
    control=ControlResult({"a": "c2"}, {"a": "c2"}, {}, {}, {}),
    names_probe=ProbeResult(20.0, 3.0, 0.1),
)


def test_a_name_and_the_requests_to_it_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    show_result(NAMED, Format.table)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:6] for line in lines[1:4]] == [
        ["orders.netctl.internal", "a", "260.5", "1000", "260.5", "0"],
        ["orders.netctl.internal", "b", "-", "1000", "-", "0"],
        ["orders.a.netctl.internal", "b", "1250", "2000", "1250", "0"],
    ]
    assert "10.1.1.10, 10.1.2.10 → 10.1.2.10" in lines[1]
    assert lines[6].split()[:7] == ["orders.netctl.internal", "a-vm3", "300", "7", "0", "239", "40"]
    assert "a → a and b → a" in lines[6]
    assert lines[-1] == (
        "vm-death (vm a-vm1) in lab lab: passed; out of the answers after 260.5 ms, of those that other clouds keep "
        "for a second after 1250 ms, 7 of 300 requests by name failed, none after that "
        "(objective 1000 ms, resolution 20 ms)"
    )


def test_where_no_address_died_there_is_nothing_about_dead_ones(capsys: pytest.CaptureFixture[str]) -> None:
    alive = msgspec.structs.replace(NAMED.names[1], gone_limit_ms=None)
    quiet = msgspec.structs.replace(NAMED.requests[0], failed_after=None, failed=0, failures={}, last_failure_ms=None)
    control = ControlResult({"a": "c2"}, {"a": "c1"}, {"a": 2400.0, "b": None}, {"orders": "4 of 4 gone"}, {})
    show_result(msgspec.structs.replace(NAMED, names=(alive,), requests=(quiet,), control=control), Format.table)
    out = capsys.readouterr().out
    assert "OUT AFTER" not in out
    assert "AFTER THAT" not in out
    assert "cluster a: c2 led it, another one after 2400 ms, now c1" in out
    assert "cluster b: nobody led it, nobody else since, now nobody" in out
    assert "hold of orders: 4 of 4 gone\nholds left: none" in out
    assert "none of 300 requests by name failed (objective" in out


def test_the_results_of_names_are_documents_too(capsys: pytest.CaptureFixture[str]) -> None:
    show_result(NAMED, Format.json)
    shown = json.loads(capsys.readouterr().out)
    assert msgspec.convert(shown, DrillResult) == NAMED
    show_results([NAMED], Format.table)
    assert capsys.readouterr().out.splitlines()[1].split()[:5] == ["vm-death-1", "passed", "vm", "a-vm1", "1250"]


def test_a_list_of_drills_says_the_options_and_has_no_json_in_its_cells(capsys: pytest.CaptureFixture[str]) -> None:
    show_results([RESULT], Format.table)
    out = capsys.readouterr().out
    assert "{" not in out
    row = ["provider-cut-1", "missed", "provider", "pa,", "agents", "KILL", "300", "11.5"]
    assert out.splitlines()[1].split()[:8] == row
    show_results([RESULT], Format.json)
    assert json.loads(capsys.readouterr().out)[0]["worst_ms"] == {"a_to_b": 300, "b_to_a": 10}


@pytest.mark.parametrize(
    ("words", "said", "own"),
    [
        (
            "provider-cut --peer pb",
            "no option --peer, which belongs to bgp-reset, speaker-kill",
            "--provider, --agents",
        ),
        (
            "bgp-reset --signal STOP",
            "no option --signal, which belongs to agent-kill, speaker-kill",
            "--gateway, --peer",
        ),
        ("agent-kill --provider pa", "no option --provider, which belongs to provider-cut", "--gateway, --signal"),
        ("agent-kill --signal KILL --agents KILL", "no option --agents", "--gateway, --signal"),
    ],
)
def test_an_option_of_another_drill_is_refused_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], words: str, said: str, own: str
) -> None:
    assert main(["drill", "run", *words.split(), "--lab", "nowhere"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert own in captured.err


def test_the_drills_are_listed_with_their_options_in_wide(capsys: pytest.CaptureFixture[str]) -> None:
    main(["drill", "list", "-o", "wide"])
    lines = {line.split()[0]: line.split()[-1] for line in capsys.readouterr().out.splitlines()}
    assert lines["provider-cut"] == "--provider,--agents"
    assert lines["speaker-kill"] == "--gateway,--peer,--signal"


@pytest.mark.parametrize("option", ["--lab", "--name"])
@pytest.mark.parametrize("words", ["drill run provider-cut", "drill show", "lab status", "lab exec a-vm1"])
def test_a_lab_is_named_by_either_option(capsys: pytest.CaptureFixture[str], words: str, option: str) -> None:
    assert main([*words.split(), option, "no-such-lab", *(["true"] if "exec" in words else [])]) == 3
    assert "'no-such-lab' is not up" in capsys.readouterr().err
