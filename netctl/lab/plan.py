"""What ``lab up`` hands to the lab's init: one JSON file with everything that is to be built and run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from netctl.lab.topology import Topology

ProcessState = Literal["waiting", "running", "restarting"]


class ProcessPlan(Struct, frozen=True):
    """A program that init keeps running in a node's network namespace.

    ``log`` and ``waits_for`` are paths as seen inside the lab; it is started once ``waits_for`` exists.
    """

    node: str
    name: str
    role: str
    argv: tuple[str, ...]
    log: str
    waits_for: str | None = None


class LabPlan(Struct, frozen=True):
    """The file ``plan.json``. ``user_namespace``: the lab was made without privileges, only uid 0 exists in it."""

    name: str
    state_dir: str
    topology: Topology
    processes: tuple[ProcessPlan, ...]
    notes: tuple[str, ...] = ()
    """What differs from the topology, and why (one line each)."""
    user_namespace: bool = False
    owners: tuple[tuple[str, str], ...] = ()
    """(folder inside the lab, ``user:group``): daemons that drop privileges need folders of their own."""

    def write(self) -> None:
        Path(self.state_dir, "plan.json").write_bytes(msgspec.json.encode(self))


class ProcessRecord(Struct, frozen=True):
    """One process as init sees it (``processes.json`` is a list of them). ``pid`` is one of the lab's PID namespace."""

    node: str
    name: str
    role: str
    pid: int
    state: ProcessState
    restarts: int
    last_exit: int | None = None


def read_plan(state_dir: Path) -> LabPlan | None:
    """None when there is none, or one of another version of netctl."""
    try:
        return msgspec.json.decode((state_dir / "plan.json").read_bytes(), type=LabPlan)
    except (OSError, msgspec.DecodeError):
        return None


def read_records(state_dir: Path) -> list[ProcessRecord]:
    try:
        return msgspec.json.decode((state_dir / "processes.json").read_bytes(), type=list[ProcessRecord])
    except (OSError, msgspec.DecodeError):
        return []
