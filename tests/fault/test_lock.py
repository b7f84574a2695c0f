"""The guardians' lock: one at a time, and a holder that hangs is ended by whoever comes next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netctl.fault.lock import io as lock

HOLD = "import sys; from pathlib import Path; from netctl.fault.lock.io import take; take(Path(sys.argv[1])); print(1)"
Holder = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def holding(tmp_path: Path) -> Iterator[Holder]:
    """Start a process that takes the lock and keeps it until its standard input ends."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*, wait: bool = True) -> subprocess.Popen[bytes]:
        code = f"{HOLD}; sys.stdout.flush(); sys.stdin.read()"
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=-1, stdout=-1)
        started.append(process)
        if wait:
            assert process.stdout is not None
            assert process.stdout.readline() == b"1\n"
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def test_the_holder_is_named_while_it_lives_and_nobody_after(tmp_path: Path, holding: Holder) -> None:
    assert lock.holder(tmp_path) is None
    process = holding()
    assert lock.holder(tmp_path) == process.pid
    process.kill()
    process.wait()
    assert lock.holder(tmp_path) is None


def test_a_holder_that_ends_by_itself_is_waited_for(tmp_path: Path, holding: Holder) -> None:
    first = holding()
    second = holding(wait=False)
    assert second.stdin is not None
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.5)
    assert lock.holder(tmp_path) == first.pid
    first.communicate()
    assert first.returncode == 0
    assert second.stdout is not None
    assert second.stdout.readline() == b"1\n"
    assert lock.holder(tmp_path) == second.pid


def test_a_stopped_holder_is_killed_and_replaced(tmp_path: Path, holding: Holder) -> None:
    process = holding()
    process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    os.close(lock.take(tmp_path))
    assert lock.STOPPED_S <= time.monotonic() - began < lock.STOPPED_S + 2
    assert process.wait(5) == -signal.SIGKILL


def test_a_holder_that_takes_too_long_is_killed_and_replaced(
    tmp_path: Path, holding: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BUSY_S", 0.3)
    process = holding()
    os.close(lock.take(tmp_path))
    assert process.wait(5) == -signal.SIGKILL


def test_of_two_that_wait_for_a_stopped_holder_neither_ends_the_other(holding: Holder) -> None:
    first = holding()
    waiting = [holding(wait=False) for _ in range(2)]
    first.send_signal(signal.SIGSTOP)
    for process in waiting:
        assert process.stdin is not None
        process.stdin.close()  # each leaves as soon as it has had the lock
    assert [process.wait(10) for process in waiting] == [0, 0]
    assert first.wait(5) == -signal.SIGKILL
