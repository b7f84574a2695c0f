"""Programs that are killed and kept down, by whom, and until when."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from netctl.fault.faults import ProcessHold
from netctl.model.io import process_started
from tests.fault.guardian_process import GuardianProcess


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "sleep", "60"])
    yield process
    process.kill()
    process.wait()


def hold_of(process: subprocess.Popen[bytes], folder: Path) -> ProcessHold:
    started = process_started(process.pid)
    assert started is not None
    return ProcessHold("a-vm1", "page", process.pid, started, str(folder / "held" / "a-vm1" / "page"))


def reaped(process: subprocess.Popen[bytes]) -> int:
    return process.wait(10)


def test_a_program_is_killed_behind_a_file_with_the_drills_id_that_the_undo_takes_away(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    fault = hold_of(sleeper, tmp_path)
    guardian = GuardianProcess(tmp_path, fault)
    assert guardian.hears()["event"] == "ready"
    assert not Path(fault.file).exists()
    assert guardian.process.stdin is not None
    guardian.process.stdin.write(b"inject\n")
    guardian.process.stdin.flush()
    assert reaped(sleeper) == -9
    assert guardian.hears()["event"] == "injected"
    assert Path(fault.file).read_text(encoding="utf-8") == "test-1\n"
    assert guardian.told(b"undo")["event"] == "undone"
    assert guardian.left() == 0
    assert not Path(fault.file).exists()


def test_one_that_is_gone_already_is_not_held_down(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    fault = hold_of(sleeper, tmp_path)
    guardian = GuardianProcess(tmp_path, fault)
    assert guardian.hears()["event"] == "ready"
    sleeper.kill()
    sleeper.wait()
    said = guardian.told(b"inject")
    assert (said["event"], "gone already" in said["problems"][0]) == ("inject_failed", True)
    assert guardian.hears()["event"] == "undone"
    assert not Path(fault.file).exists()
    guardian.left()


def test_what_somebody_else_holds_down_is_refused_and_left(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    fault = hold_of(sleeper, tmp_path)
    Path(fault.file).parent.mkdir(parents=True)
    Path(fault.file).write_text("by-hand", encoding="utf-8")
    guardian = GuardianProcess(tmp_path, fault)
    said = guardian.hears()
    assert (said["event"], "by by-hand" in said["problems"][0]) == ("inject_failed", True)
    guardian.left()
    assert guardian.undone_by_another() == 0
    assert Path(fault.file).exists()
    assert sleeper.poll() is None


@pytest.mark.parametrize("damaged", [False, True])
def test_another_one_lets_it_start_when_runner_and_guardian_are_dead(
    sleeper: subprocess.Popen[bytes], tmp_path: Path, damaged: bool
) -> None:
    fault = hold_of(sleeper, tmp_path)
    guardian = GuardianProcess(tmp_path, fault)
    guardian.hears()
    assert guardian.process.stdin is not None
    guardian.process.stdin.write(b"inject\n")
    guardian.process.stdin.flush()
    reaped(sleeper)
    guardian.hears()
    guardian.killed()
    by_hand = tmp_path / "held" / "a-vm2" / "page"
    by_hand.parent.mkdir(parents=True)
    by_hand.write_text("by-hand", encoding="utf-8")
    if damaged:
        guardian.path.write_bytes(b"")
    assert guardian.undone_by_another() == 0
    assert not Path(fault.file).exists()
    assert by_hand.exists()
