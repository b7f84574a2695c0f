"""The real clock, files and processes (unix sockets: ``netctl.ipc.io``; UDP: ``netctl.liveness.shell``; the kernel:
``netctl.fib.io``)."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from netctl.model.clock import SECOND, Timer
from netctl.model.errors import EnvironmentLackError
from netctl.model.ports import ProcessId, ProcessSpec

_SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


class SystemClock:
    """CLOCK_MONOTONIC, the wall clock, and the running event loop's timers."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    wall = staticmethod(time.time)

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_at(when_ns / SECOND, callback)


class FileStore:
    """Documents as files of one folder, which is made when it is missing."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def _path(self, name: str) -> Path:
        if not _SAFE_NAME.fullmatch(name):
            raise ValueError(f"not a document name: {name!r}")
        return self._folder / name

    def read(self, name: str) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._lack("read", name, error) from None

    def write(self, name: str, data: bytes) -> None:
        path = self._path(name)
        fresh = self._folder / f".{name}.new"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with fresh.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            self._sync_folder()
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            raise self._lack("write", name, error) from None

    def delete(self, name: str) -> None:
        try:
            self._path(name).unlink(missing_ok=True)
            if self._folder.is_dir():
                self._sync_folder()
        except OSError as error:
            raise self._lack("delete", name, error) from None

    def names(self) -> list[str]:
        try:
            return sorted(e.name for e in os.scandir(self._folder) if e.is_file() and _SAFE_NAME.fullmatch(e.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._lack("list", "", error) from None

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _lack(self, verb: str, name: str, error: OSError) -> EnvironmentLackError:
        what = f"cannot {verb} {self._folder / name}: {error.strerror}"
        return EnvironmentLackError(what, "check free space and who may write there")


def process_started(pid: int) -> int | None:
    """When a running process started (field 22 of /proc/PID/stat, proc(5)); None when gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the program's name may hold blanks and brackets
    return None if fields[0] in "ZX" else int(fields[19])


class RealProcesses:
    """Programs of this PID namespace, held by pidfd so that a reused pid is never meant."""

    def __init__(self) -> None:
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, spec: ProcessSpec) -> ProcessId:
        try:
            account = pwd.getpwnam(spec.user) if spec.user else None
        except KeyError:
            what = f"{spec.name}: there is no user {spec.user}"
            raise EnvironmentLackError(what, "create it or name another") from None
        try:
            Path(spec.log_path).parent.mkdir(parents=True, exist_ok=True)
            with Path(spec.log_path).open("ab") as log:
                child = subprocess.Popen(
                    spec.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **spec.env},
                    start_new_session=True,
                    user=account.pw_uid if account else None,
                    group=account.pw_gid if account else None,
                    extra_groups=[] if account else None,
                )
        except OSError as error:
            what = f"cannot start {spec.name}: {error.filename or spec.argv[0]}: {error.strerror}"
            raise EnvironmentLackError(what, f"try: {spec.argv[0]}") from None
        started = process_started(child.pid) or 0
        if child.poll() is None:
            self._children[child.pid] = child
        return ProcessId(child.pid, started)

    def alive(self, process: ProcessId) -> bool:
        if process_started(process.pid) == process.started:
            return True
        self._reap(process.pid)  # after the look: it may have ended a moment before
        return False

    def signal(self, process: ProcessId, number: int) -> bool:
        descriptor = self._hold(process)
        if descriptor is None:
            return False
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True

    def on_exit(self, process: ProcessId, callback: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        descriptor = self._hold(process)
        if descriptor is None:
            self._reap(process.pid)
            loop.call_soon(callback)
            return

        def ended() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            self._reap(process.pid)
            callback()

        loop.add_reader(descriptor, ended)

    def _hold(self, process: ProcessId) -> int | None:
        """A pidfd of that very process. Opened before the start time is compared: after that it cannot be another."""
        try:
            descriptor = os.pidfd_open(process.pid)
        except OSError:
            return None
        if process_started(process.pid) == process.started:
            return descriptor
        os.close(descriptor)
        return None

    def _reap(self, pid: int) -> None:
        if pid in self._children and self._children[pid].poll() is not None:
            del self._children[pid]
