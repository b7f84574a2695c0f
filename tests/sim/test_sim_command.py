"""``netctl sim``: exit codes, saved schedules, replay."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from netctl.cli.main import main
from netctl.sim import run as run_module
from netctl.sim.files import dump_any
from netctl.sim.names.schedule import NamesFault, NamesSchedule
from netctl.sim.outcome import Failure, Outcome
from netctl.sim.schedule import Fault, Schedule, load


def test_seeds_without_a_violation_end_with_0_and_one_row_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "run", "--seeds", "1..3", "-o", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["seed"], row["world"]) for row in rows] == [(s, w) for s in (1, 2, 3) for w in ("routing", "names")]
    assert {row["verdict"] for row in rows} == {"ok"}


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(9, 50, 3, (Fault("cut", "ga1-pa", 100, 700),)),
        NamesSchedule(9, 30, (100, 300), (NamesFault("kill", "c1", 100, 700),)),
    ],
)
def test_a_replayed_file_gives_the_digest_of_its_seed(
    schedule: Schedule | NamesSchedule, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "s.json"
    file.write_bytes(dump_any(schedule))
    assert main(["sim", "run", "--replay", str(file), "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["digest"] == run_module.simulate(schedule).digest


def test_a_failing_seed_is_shrunk_saved_and_says_how_to_replay_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_on_cuts(schedule: Schedule, programs: object = None) -> Outcome:
        broken = any(fault.kind == "cut" for fault in schedule.faults)
        failure = Failure("I1", 12.0, "a cut", "still sends there", ("the tail",)) if broken else None
        return Outcome(schedule, failure, "digest", 1, 1.0, 1.0)

    schedule = Schedule(5, 50, 3, (Fault("reset", "ga1-pa", 5, 0), Fault("cut", "ga1-pb", 7, 150)))
    monkeypatch.setattr("netctl.sim.run.simulate", fails_on_cuts)
    monkeypatch.setattr("netctl.cli.sim.simulate", fails_on_cuts)
    monkeypatch.setattr("netctl.cli.sim.scheduled", lambda world, seed: schedule)
    assert main(["sim", "run", "--seed", "5", "--save-to", str(tmp_path)]) == 1
    said = capsys.readouterr()
    file = tmp_path / "sim-seed-5.json"
    assert "seed 5 breaks I1" in said.err
    assert f"netctl sim run --replay {file}" in said.err
    assert "the tail" in said.err
    assert [fault.kind for fault in load(file.read_bytes(), "x").faults] == ["cut"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--seeds", "1-5"], "no range"),
        (["--seeds", "5..1"], "no seed"),
        (["--seed", "1", "--seeds", "1..2"], "exclude each other"),
        (["--replay", "/nowhere/x.json"], "cannot read"),
    ],
)
def test_a_wrong_option_is_a_usage_error(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "run", *words]) == 2
    assert complaint in capsys.readouterr().err


def test_a_soak_runs_at_least_one_seed_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "soak", "--seconds", "0", "--first-seed", "1", "-o", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def interrupted(*words: str, after: str) -> tuple[int, list[str]]:
    """Exit code and stderr after Ctrl-C once that was said."""
    command = [sys.executable, "-X", "dev", "-m", "netctl.cli.main", "sim", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    assert after in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    return process.returncode, err.splitlines()


def test_ctrl_c_says_in_one_line_how_far_it_came() -> None:
    code, lines = interrupted("soak", "--seconds", "300", "--first-seed", "1", after="seeds from 1 on")
    assert code == 130
    assert len(lines) == 1
    assert re.fullmatch(r"netctl: interrupted after \d+ seeds? without a violation(, the last one \d+)?", lines[0])


def test_ctrl_c_while_a_failing_seed_is_made_small_keeps_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = Schedule(5, 50, 3, (Fault("cut", "ga1-pb", 7, 150),))
    failure = Failure("I1", 12.0, "a cut", "still sends there", ("the tail",))

    def impatient(*_: object, **__: object) -> Outcome:
        raise KeyboardInterrupt

    monkeypatch.setattr("netctl.cli.sim.simulate", lambda _: Outcome(schedule, failure, "digest", 1, 1.0, 1.0))
    monkeypatch.setattr("netctl.cli.sim.shrunk", impatient)
    assert main(["sim", "run", "--seed", "5", "--save-to", str(tmp_path)]) == 130
    assert f"netctl sim run --replay {tmp_path}/sim-seed-5.json" in capsys.readouterr().err
    assert load((tmp_path / "sim-seed-5.json").read_bytes(), "x") == schedule


def test_the_played_drill_says_that_it_is_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "play"]) == 0
    assert "SIMULATED" in capsys.readouterr().out


def test_a_played_drill_that_misses_its_objective_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "play", "--objective-ms", "1", "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["routing"]["simulated"] is True
    assert main(["sim", "play", "--world", "names", "--names-objective-ms", "1", "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["names"]["simulated"] is True


def test_one_world_can_be_asked_for_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "run", "--seeds", "1..2", "--world", "names", "-o", "json"]) == 0
    assert [row["world"] for row in json.loads(capsys.readouterr().out)] == ["names", "names"]


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ('{"world": "names", "seed": 1}', "max_shrink_percent"),
        (
            (
                '{"world": "names", "seed": 1, "max_shrink_percent": 30, "budget": [1, 2], "faults": '
                '[{"kind": "kill", "where": "c9", "at_ms": 1, "for_ms": 1}]}'
            ),
            "no such place",
        ),
        ('{"world": "names", "seed": 1, "max_shrink_percent": 300, "budget": [1, 2], "faults": []}', "0 to 100"),
    ],
)
def test_a_wrong_names_schedule_is_a_usage_error(
    document: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "s.json"
    file.write_text(document)
    assert main(["sim", "run", "--replay", str(file)]) == 2
    assert complaint in capsys.readouterr().err
