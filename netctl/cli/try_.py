"""``netctl try``: the shortest look. A small lab without root, one provider cut, its outage; then all is gone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import NoReturn

import typer

from netctl.cli.output import Column, View, emit_views, progress
from netctl.lab import paths
from netctl.lab.daemons import Providers
from netctl.lab.lifecycle import NamespacesRefusedError, down, up
from netctl.lab.namespaces import started
from netctl.lab.plan import Only
from netctl.model.errors import AbortedError, EnvironmentLackError

app = typer.Typer(help="The shortest look: a small lab without root, one drill, its outage.")

_LAB = re.compile(r"try-(\d+)-([0-9a-f]+)")
"""Each run's own lab is named by its process (pid, start time), so that a later run knows what a dead one has left."""
_WITHIN_S = 115.0
"""The whole of it, with a little left for taking the lab down."""
_UNDO_WITHIN_S = 10.0
OBJECTIVE_MS = 200
"""BFD at 50 ms x 3 detects within 150 ms."""


@app.command()
def try_() -> int:
    """Bring up two clouds joined by two providers in user namespaces (no root, nothing is installed or changed), cut
    one provider under traffic, and show how long each flow was out.

    Where user namespaces are refused, the simulator plays the same drill, and says so.
    """
    began = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    _clean_up_after_the_dead()
    name = f"try-{os.getpid()}-{started('/proc/self') or 0:x}"
    try:
        up(name, progress, providers=Providers.embedded, only=Only.routing, within_s=70.0)
        progress(f"two clouds, two providers, steady after {time.monotonic() - began:.0f} s; cutting provider pa")
        code = _run_drill(name, began + _WITHIN_S)
    except NamespacesRefusedError as error:
        progress(f"{error.message}: playing the drill in the simulator instead")
        progress(f"for the real one: {error.hint}")
        return _simulate()
    finally:
        _take_down(name)
    progress(f"done in {time.monotonic() - began:.0f} s, and nothing of it is left; next: make lab (as root)")
    return code


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _run_drill(name: str, deadline: float) -> int:
    command = [sys.executable, "-m", "netctl.cli.main", "drill", "run", "provider-cut", "--lab", name]
    drill = subprocess.Popen(command)
    try:
        return drill.wait(max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise AbortedError("the drill did not end in time", "run it by hand: netctl lab up, netctl drill run") from None
    finally:
        if drill.poll() is None:
            drill.send_signal(signal.SIGINT)  # it undoes its fault
            try:
                drill.wait(_UNDO_WITHIN_S)
            except subprocess.TimeoutExpired:
                drill.kill()
                drill.wait()


def _take_down(name: str) -> None:
    """Always, and not to be interrupted by an impatient second Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _down(name)


def _clean_up_after_the_dead() -> None:
    """Take down the labs of earlier runs that were killed; those of runs that still live are theirs."""
    for name in paths.names():
        match = _LAB.fullmatch(name)
        if match and started(f"/proc/{match[1]}") != int(match[2], 16):
            progress(f"an earlier try was killed: taking its lab {name} down")
            _down(name)


def _down(name: str) -> None:
    try:
        down(name)
    except EnvironmentLackError as error:
        progress(f"{error.message}; {error.hint}")


def _simulate() -> int:
    """The same agents and liveness on virtual time: exact, and no measurement of this machine."""
    from netctl.sim import play_provider_cut

    play = play_provider_cut()
    rows = [{"flow": f.name, "via": f.provider_before, "outage_ms": round(f.outage_ms, 1)} for f in play.flows]
    worst = ", ".join(f"{direction.replace('_', ' ')} {ms:.0f} ms" for direction, ms in play.worst_ms.items())
    note = f"SIMULATED, not measured: provider {play.provider} cut for {play.cut_ms} ms; worst flow {worst}"
    columns: list[Column | str] = ["flow", "via", Column("outage_ms", "simulated outage ms", right=True)]
    emit_views(rows, [View(rows, columns, "provider-cut, simulated", note)])
    return 0 if max(play.worst_ms.values()) <= OBJECTIVE_MS else 1
