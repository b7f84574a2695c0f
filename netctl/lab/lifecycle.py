"""``up`` and ``down``: from nothing to a lab that is steady, and back, whatever was killed in between."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from netctl.lab import growth, paths
from netctl.lab.api import Lab
from netctl.lab.daemons import Providers, plan_lab
from netctl.lab.ending import end_and_lock, undo
from netctl.lab.plan import LabPlan, Only, read_plan
from netctl.lab.removal import remove
from netctl.lab.steady import wait_steady
from netctl.lab.topology import PACKAGED, load_topology
from netctl.model.errors import AbortedError, EnvironmentLackError, InterruptError, NetctlError, RefusedError

Progress = Callable[[str], None]
_STEPS = {"network": "namespaces and links", "programs": "programs"}


class NamespacesRefusedError(EnvironmentLackError):
    """This machine lets this user make no namespaces."""


@dataclass(frozen=True, slots=True)
class UpResult:
    """``built`` is False when the lab was up already, ``grown``: but its names half was not. ``notes``: what differs
    from the topology and why."""

    lab: Lab
    built: bool
    grown: bool
    seconds: float
    notes: tuple[str, ...]


def up(
    name: str,
    progress: Progress,
    *,
    topology: Path = PACKAGED,
    providers: Providers = Providers.auto,
    only: Only = Only.all,
    within_s: float = 120.0,
) -> UpResult:
    """Bring a lab up, or the rest of it, and wait until it is steady.

    Raises RefusedError when a lab of that name with another topology is up, EnvironmentLackError naming what the
    machine lacks, NetctlError when it did not become steady (it is left up then, to be looked into), InterruptError
    when Ctrl-C was pressed before that: nothing is left then of what was not up before.
    """
    began = time.monotonic()
    state_dir = paths.state_dir(name)
    plan, files = plan_lab(name, state_dir, load_topology(topology), providers)
    names = only is Only.all and plan.topology.has_names
    if names and not (state_dir / growth.READY).exists():
        growth.require_parts()
    with _builder(state_dir, progress):
        lock = paths.try_lock(state_dir / "lock")
        if lock is None:
            present = _already_up(state_dir, plan, providers)
            if present is not None:
                grown = names and not (state_dir / growth.READY).exists()
                lab = growth.grow(present, progress, began + within_s) if grown else present
                return UpResult(lab, False, grown, time.monotonic() - began, lab.plan.notes)
            progress(f"the lab {name!r} was left half-built: building it anew")
            lock = end_and_lock(state_dir)
        try:
            if names:
                plan, more = growth.add_names(plan)
                files |= more
            _write_files(plan, files)
            lab = _build(plan, lock, progress, began + within_s)
        except KeyboardInterrupt:
            if not (state_dir / "ready").exists():
                undo(state_dir)
                raise InterruptError("interrupted; nothing is left") from None
            raise
        finally:
            os.close(lock)
    return UpResult(lab, True, False, time.monotonic() - began, plan.notes)


def down(name: str) -> bool:
    """End a lab and remove everything of it, whatever state it is in. Returns False when there was none.

    Raises EnvironmentLackError naming who holds the lab when it does not end in time.
    """
    state_dir = paths.state_dir(name)
    if not state_dir.exists():
        return False
    try:
        lock = end_and_lock(state_dir)
    except FileNotFoundError:
        return True  # another ``down``, or the ``up`` that was interrupted, has removed it
    try:
        remove(state_dir)
    finally:
        os.close(lock)
    return True


def _already_up(state_dir: Path, wanted: LabPlan, providers: Providers) -> Lab | None:
    """The lab that is up; None when it never became ready. Raises RefusedError when it is another one: with ``auto``
    its daemons are right whatever they are."""
    plan = read_plan(state_dir)
    if plan is None or not (state_dir / "ready").exists():
        return None
    topology = wanted.topology
    if providers is Providers.auto:
        topology = topology.with_daemons({node.name: node.daemon for node in plan.topology.nodes if node.daemon})
    if plan.topology.digest() != topology.digest():
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


def _build(plan: LabPlan, lock: int, progress: Progress, deadline: float) -> Lab:
    state_dir = Path(plan.state_dir)
    ours, theirs = socket.socketpair()
    keep = False
    try:
        _start_init(state_dir, lock, theirs)
        theirs.close()
        _follow(ours, state_dir, progress)
        lab = Lab.open(plan.name)
        try:
            _wait_for_halves(lab, progress, deadline)
        except NetctlError:
            keep = True
            raise
        keep = True
        return lab
    finally:
        theirs.close()
        if keep:
            with suppress(OSError):
                ours.sendall(b"stay\n")
        ours.close()
        if not keep:  # refused, interrupted: nothing is left
            undo(state_dir)


def _wait_for_halves(lab: Lab, progress: Progress, deadline: float) -> None:
    """Wait until all of a lab is steady, and note it. Raises what ``wait_steady`` raises; what has gone well until then
    is noted too, so that the next ``up`` goes on from there."""
    wait_steady(lab, progress, deadline, "routing")
    marks = ["ready"]
    try:
        if lab.plan.has_names:
            wait_steady(lab, progress, deadline)
            marks.append(growth.READY)
    except KeyboardInterrupt:
        marks = []
        raise
    finally:
        for mark in marks:
            (lab.state_dir / mark).touch()


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
    growth.write_files(plan, files)
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
