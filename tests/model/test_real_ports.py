"""What only the real clock, files and processes can get wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netctl.model.clock import MS
from netctl.model.errors import EnvironmentLackError
from netctl.model.io import FileStore, RealProcesses, SystemClock, process_started
from netctl.model.ports import ProcessId, ProcessSpec


async def test_timers_fire_after_their_deadline_and_a_past_one_at_once_but_not_inside_the_call() -> None:
    clock = SystemClock()
    fired: list[str] = []
    done = asyncio.Event()
    start = clock.monotonic_ns()
    clock.call_at(start + 20 * MS, done.set)
    clock.call_at(start - 1, lambda: fired.append("past"))
    clock.call_at(start + 5 * MS, lambda: fired.append("never")).cancel()
    assert fired == []
    await asyncio.wait_for(done.wait(), 10)
    assert clock.monotonic_ns() >= start + 20 * MS
    assert fired == ["past"]


def test_a_document_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "new" / "folder")
    assert store.names() == []
    store.write("a.json", b"1")
    store.write("a.json", b"22")
    assert store.read("a.json") == b"22"
    assert store.names() == ["a.json"]
    (tmp_path / "new" / "folder" / ".a.json.new").mkdir()  # a write that cannot even begin
    with pytest.raises(EnvironmentLackError, match=r"cannot write .*a\.json"):
        store.write("a.json", b"333")
    assert store.read("a.json") == b"22"


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a\0b", "a b"])
def test_a_name_that_is_no_document_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a document name"):
        FileStore(tmp_path).write(name, b"")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EnvironmentLackError, match="cannot write"):
        FileStore(tmp_path / "file" / "sub").write("a", b"")


def start(tmp_path: Path, *argv: str, user: str | None = None) -> tuple[RealProcesses, ProcessId]:
    processes = RealProcesses()
    return processes, processes.start(
        ProcessSpec("it", argv, str(tmp_path / "log" / "it.log"), {"NETCTL_X": "y"}, user)
    )


async def ended(processes: RealProcesses, process: ProcessId) -> None:
    done = asyncio.Event()
    processes.on_exit(process, done.set)
    await asyncio.wait_for(done.wait(), 10)


async def test_a_program_gets_its_environment_a_session_of_its_own_and_a_log_that_is_appended(tmp_path: Path) -> None:
    for _ in range(2):
        processes, process = start(tmp_path, "sh", "-c", "echo $NETCTL_X $(ps -o sid= -p $$) $$")
        await ended(processes, process)
    lines = (tmp_path / "log" / "it.log").read_text().split("\n")
    assert len(lines) == 3
    word, session, pid = lines[0].split()
    assert word == "y"
    assert session == pid


async def test_no_descriptor_of_the_starter_leaks_into_a_program(tmp_path: Path) -> None:
    leak = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leak, True)
    processes, process = start(tmp_path, sys.executable, "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))")
    await ended(processes, process)
    os.close(leak)
    assert (tmp_path / "log" / "it.log").read_text().strip() == "['0', '1', '2', '3']"  # 3 is listdir's own


async def test_a_process_that_somebody_else_started_is_watched_too(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "60"])  # noqa: ASYNC220
    started = process_started(other.pid)
    assert started is not None
    processes = RealProcesses()
    process = ProcessId(other.pid, started)
    assert processes.alive(process)
    assert processes.signal(process, signal.SIGKILL)
    await ended(processes, process)
    assert not processes.alive(process)  # a zombie of somebody else's is no living process
    other.wait()


def test_another_process_with_the_same_pid_is_neither_signalled_nor_taken_for_alive() -> None:
    own = process_started(os.getpid())
    assert own is not None
    stranger = ProcessId(os.getpid(), own + 1)
    assert not RealProcesses().alive(stranger)
    assert not RealProcesses().signal(stranger, signal.SIGKILL)


def test_a_program_that_ended_is_reaped_by_asking_whether_it_lives(tmp_path: Path) -> None:
    processes, process = start(tmp_path, "true")
    deadline = time.monotonic() + 10
    while processes.alive(process):
        assert time.monotonic() < deadline
    assert not Path(f"/proc/{process.pid}").exists()


@pytest.mark.parametrize(("argv", "user"), [(("/nonexistent/x",), None), (("true",), "no-such-user-77")])
def test_what_cannot_be_started_is_named(tmp_path: Path, argv: tuple[str, ...], user: str | None) -> None:
    with pytest.raises(EnvironmentLackError, match=r"/nonexistent/x|no-such-user-77"):
        start(tmp_path, *argv, user=user)


@pytest.mark.root  # who alone may become somebody else
async def test_a_program_runs_as_the_user_it_names(tmp_path: Path) -> None:
    processes, process = start(tmp_path, "id", "-un", user="nobody")
    await ended(processes, process)
    assert (tmp_path / "log" / "it.log").read_text() == "nobody\n"
