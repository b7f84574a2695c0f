"""What ``lab up`` hands to the lab's init: one JSON file with everything that is to be built and run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from netctl.lab.topology import Topology

ProcessState = Literal["waiting", "running", "restarting", "held", "done"]
Half = Literal["routing", "names"]


class Only(StrEnum):
    """How much of a lab is wanted: gateways and routers alone, or Kubernetes, CoreDNS and controllers too."""

    routing = "routing"
    all = "all"


class ProcessPlan(Struct, frozen=True):
    """A program that init keeps running in a node's network namespace.

    ``log`` and ``waits_for`` are paths as seen inside the lab; it is started once all of ``waits_for`` exist: in the
    routing half after a few seconds anyway, in the names half never before (those files take as long as they take).
    ``once``: it has a job to do and is done when it ends with 0. ``env``: beside the lab's own environment.
    ``resolv``: it wants the node's /etc/resolv.conf and hostname, as ``lab exec`` gives them.
    """

    node: str
    name: str
    role: str
    argv: tuple[str, ...]
    log: str
    waits_for: tuple[str, ...] = ()
    half: Half = "routing"
    once: bool = False
    env: dict[str, str] = {}
    resolv: bool = False


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

    @property
    def path(self) -> Path:
        return Path(self.state_dir, "plan.json")

    @property
    def has_names(self) -> bool:
        """Whether the names half is to run too."""
        return any(process.half == "names" for process in self.processes)

    def with_role(self, *roles: str) -> list[ProcessPlan]:
        return [process for process in self.processes if process.role in roles]

    def write(self) -> None:
        """At once or not at all: init may be reading it."""
        fresh = self.path.with_name(".plan.json.new")
        fresh.write_bytes(msgspec.json.encode(self))
        fresh.rename(self.path)


class ProcessRecord(Struct, frozen=True):
    """One process as init sees it (``processes.json`` is a list of them). ``pid`` is one of the lab's PID namespace;
    ``waits_for``: what one that is waiting waits for.
    """

    node: str
    name: str
    role: str
    pid: int
    state: ProcessState
    restarts: int
    last_exit: int | None = None
    waits_for: str = ""


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
