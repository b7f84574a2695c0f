"""Which faults nobody is left to take back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netctl.fault.journal import Journal, encode
from netctl.lab.overdue import GRACE_NS, overdue
from tests.lab.conftest import Bench

HOLD = "import sys; from pathlib import Path; from netctl.fault.lock.io import take; take(Path(sys.argv[1])); print(1)"
LIMIT_NS = 10 * GRACE_NS


@pytest.fixture
def guardian(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has the guardians' lock."""
    code = f"{HOLD}; sys.stdout.flush(); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=-1, stdout=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == b"1\n"
    yield process
    process.kill()
    process.communicate()


def put(folder: Path, *, is_open: bool = True) -> Path:
    path = folder / "a.journal"
    path.write_bytes(encode(Journal("a", "provider-cut", "x", 1, LIMIT_NS, 0.0, faults=(), open=is_open)))
    return path


def test_an_open_journal_is_overdue_a_moment_after_its_limit_and_a_closed_one_never(tmp_path: Path) -> None:
    path = put(tmp_path)
    assert overdue(tmp_path, LIMIT_NS + GRACE_NS) == []
    assert overdue(tmp_path, LIMIT_NS + GRACE_NS + 1) == [path]
    put(tmp_path, is_open=False)
    assert overdue(tmp_path, 2 * LIMIT_NS) == []


def test_a_damaged_journal_is_overdue_at_once(tmp_path: Path) -> None:
    path = put(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    assert overdue(tmp_path, 0) == [path]


def test_a_damaged_journal_waits_while_its_guardian_works_but_not_when_that_is_stopped_or_dead(
    tmp_path: Path, guardian: subprocess.Popen[bytes]
) -> None:
    path = tmp_path / "a.journal"
    path.write_bytes(b"")
    assert overdue(tmp_path, 0) == []
    guardian.send_signal(signal.SIGSTOP)
    assert Bench.wait_for(lambda: overdue(tmp_path, 0) == [path])
    os.kill(guardian.pid, signal.SIGCONT)
    assert Bench.wait_for(lambda: overdue(tmp_path, 0) == [])
    guardian.kill()
    guardian.wait()
    assert overdue(tmp_path, 0) == [path]
