"""``up`` and ``down``: from nothing to a lab that is steady, and back, whatever was killed in between."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from netctl.lab import namespaces, paths
from netctl.lab.api import Lab
from netctl.lab.daemons import Providers, plan_lab
from netctl.lab.plan import LabPlan, read_plan
from netctl.lab.removal import remove
from netctl.lab.topology import PACKAGED, load_topology
from netctl.model.errors import AbortedError, EnvironmentLackError, InterruptError, NetctlError, RefusedError

Progress = Callable[[str], None]
_STEPS = {"network": "namespaces and links", "programs": "programs"}
_DOWN_WITHIN_S = 30.0


class NamespacesRefusedError(EnvironmentLackError):
    """This machine lets this user make no namespaces."""


@dataclass(frozen=True, slots=True)
class UpResult:
    """``built`` is False when the lab was up already. ``notes``: what differs from the topology and why."""

    lab: Lab
    built: bool
    seconds: float
    notes: tuple[str, ...]


def up(
    name: str,
    progress: Progress,
    *,
    topology: Path = PACKAGED,
    providers: Providers = Providers.auto,
    within_s: float = 60.0,
) -> UpResult:
    """Bring a lab up and wait until it is steady.

    Raises RefusedError when a lab of that name with another topology is up, EnvironmentLackError naming what the
    machine lacks, NetctlError when it did not become steady (it is left up then, to be looked into), InterruptError
    when Ctrl-C was pressed before that: nothing is left then.
    """
    began = time.monotonic()
    state_dir = paths.state_dir(name)
    plan, files = plan_lab(name, state_dir, load_topology(topology), providers)
    with _builder(state_dir, progress):
        lock = paths.try_lock(state_dir / "lock")
        if lock is None:
            present = _already_up(state_dir, plan)
            if present is not None:
                return UpResult(present, False, time.monotonic() - began, present.plan.notes)
            progress(f"the lab {name!r} was left half-built: building it anew")
            lock = _end_and_lock(state_dir)
        try:
            _write_files(plan, files)
            lab = _build(plan, lock, progress, began + within_s)
        except KeyboardInterrupt:
            if not (state_dir / "ready").exists():
                _undo(state_dir)
                raise InterruptError("interrupted; nothing is left") from None
            raise
        finally:
            os.close(lock)
    return UpResult(lab, True, time.monotonic() - began, plan.notes)


def down(name: str) -> bool:
    """End a lab and remove everything of it, whatever state it is in. Returns False when there was none.

    Raises EnvironmentLackError naming who holds the lab when it does not end in time.
    """
    state_dir = paths.state_dir(name)
    if not state_dir.exists():
        return False
    try:
        lock = _end_and_lock(state_dir)
    except FileNotFoundError:
        return True  # another ``down``, or the ``up`` that was interrupted, has removed it
    try:
        remove(state_dir)
    finally:
        os.close(lock)
    return True


def _already_up(state_dir: Path, wanted: LabPlan) -> Lab | None:
    """The lab that is up; None when it never became ready. Raises RefusedError when it is another one."""
    plan = read_plan(state_dir)
    if plan is None or not (state_dir / "ready").exists():
        return None
    if plan.topology.digest() != wanted.topology.digest():
        raise RefusedError(
            f"the lab {plan.name!r} is up with another topology or other daemons",
            f"netctl lab down --name {plan.name}, or take another name for the new one",
        )
    return Lab.open(plan.name)


@contextmanager
def _builder(state_dir: Path, progress: Progress) -> Iterator[None]:
    """One builder at a time; a second one waits, and then finds the lab up."""
    told = False
    while True:
        paths.make_state_dir(state_dir)
        with suppress(FileNotFoundError):  # removed by ``down`` meanwhile
            descriptor = paths.try_lock(state_dir / "builder")
            if descriptor is not None:
                break
        if not told:
            progress("waiting for another 'netctl lab up' that builds this lab")
            told = True
        time.sleep(0.1)
    try:
        yield
    finally:
        os.close(descriptor)


def _end_and_lock(state_dir: Path) -> int:
    """Kill the lab's init, wait until all of it is gone and nobody builds, and return the locked lock.

    Raises FileNotFoundError when STATE was removed meanwhile.
    """
    killed: set[tuple[int, int]] = set()

    def look() -> int | None:
        init = namespaces.read_init(state_dir)
        if init is not None and namespaces.started(f"/proc/{init[0]}") == init[1]:
            # Its PID namespace ends with it: the kernel lets a process 1 go only when all the others are gone.
            _kill(*init)
            killed.add(init)
            return None
        return paths.try_lock(state_dir / "lock")

    lock = paths.wait_until(look, _DOWN_WITHIN_S, 0.005)
    if lock is None:
        who = _lock_holder(state_dir / "lock")
        raise EnvironmentLackError(
            f"{state_dir.name}: process {who} holds this lab and does not let go" if who else f"{state_dir} is locked",
            "a 'netctl lab up' that was stopped? Let it go on, or kill it",
        )
    return lock


def _kill(pid: int, began: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if namespaces.started(f"/proc/{pid}") == began:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def _lock_holder(path: Path) -> int | None:
    inode = path.stat().st_ino
    for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    return None


def _build(plan: LabPlan, lock: int, progress: Progress, deadline: float) -> Lab:
    from netctl.lab.steady import wait_steady

    state_dir = Path(plan.state_dir)
    ours, theirs = socket.socketpair()
    keep = False
    try:
        _start_init(state_dir, lock, theirs)
        theirs.close()
        _follow(ours, state_dir, progress)
        lab = Lab.open(plan.name)
        try:
            wait_steady(lab, progress, deadline)
        except NetctlError:
            keep = True
            raise
        (state_dir / "ready").touch()
        keep = True
        return lab
    finally:
        theirs.close()
        if keep:
            with suppress(OSError):
                ours.sendall(b"stay\n")
        ours.close()
        if not keep:  # refused, interrupted: nothing is left
            _undo(state_dir)


def _undo(state_dir: Path) -> None:
    """Take down what this process was building, once or twice; it holds the lock itself."""

    def ended() -> bool | None:
        init = namespaces.read_init(state_dir)
        if init is None or namespaces.started(f"/proc/{init[0]}") != init[1]:
            return True
        _kill(*init)
        return None

    paths.wait_until(ended, _DOWN_WITHIN_S, 0.005)
    with suppress(FileNotFoundError):
        remove(state_dir)


def _write_files(plan: LabPlan, files: dict[str, str]) -> None:
    state_dir = Path(plan.state_dir)
    for path in state_dir.iterdir():  # of a lab that was killed
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in {"lock", "builder"}:
            path.unlink()
    for node in plan.topology.nodes:
        for folder in ("log", "run"):
            (state_dir / folder / node.name).mkdir(parents=True)
    for name, text in files.items():
        target = state_dir / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    plan.write()


def _start_init(state_dir: Path, lock: int, theirs: socket.socket) -> None:
    with (state_dir / "log" / "init.log").open("ab") as log:
        first_stage = subprocess.Popen(
            [sys.executable, "-m", "netctl.lab.init", str(state_dir), str(lock), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock, theirs.fileno()),
            start_new_session=True,
        )
    theirs.close()
    try:
        first_stage.wait()
    except BaseException:  # interrupted: it is still about to write init.pid
        first_stage.wait()
        raise


def _follow(ours: socket.socket, state_dir: Path, progress: Progress) -> None:
    """Tell the progress of init until its programs start. Raises what it reports."""
    with ours.makefile("rb") as lines:
        for line in lines:
            message = json.loads(line)
            if message.get("refused"):
                raise NamespacesRefusedError(message["error"], message["hint"])
            if "error" in message:
                raise EnvironmentLackError(message["error"], message["hint"])
            progress(_STEPS[message["step"]])
            if message["step"] == "programs":
                return
    log = state_dir / "log" / "init.log"
    if not log.exists():
        raise AbortedError("the lab was taken down while it was being built", "netctl lab up")
    tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise AbortedError(f"the lab's init ended while building: {tail[0] if tail else 'killed'}", "netctl lab up")
