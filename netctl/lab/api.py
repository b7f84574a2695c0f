"""A lab that is up, for drills, commands and tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from netctl.lab import namespaces, paths
from netctl.lab.plan import LabPlan, read_plan
from netctl.lab.processes import LabProcess, lab_processes
from netctl.lab.topology import LinkEnd, Topology
from netctl.model.errors import EnvironmentLackError, UsageError


class Lab:
    """A lab whose init lives. Everything here works from outside, and as the user who made the lab."""

    def __init__(self, plan: LabPlan) -> None:
        self.name: str = plan.name
        self.state_dir: Path = Path(plan.state_dir)
        self.topology: Topology = plan.topology
        self.plan = plan

    @classmethod
    def open(cls, name: str = paths.DEFAULT_NAME) -> Lab:
        """Raises EnvironmentLackError when no lab of that name is up."""
        state_dir = paths.state_dir(name)
        plan, init = read_plan(state_dir), namespaces.read_init(state_dir)
        if plan is None or init is None or namespaces.started(f"/proc/{init[0]}") != init[1]:
            up = "" if name == paths.DEFAULT_NAME else f" --name {name}"
            raise EnvironmentLackError(f"the lab {name!r} is not up", f"netctl lab up{up}")
        return cls(plan)

    @property
    def init_pid(self) -> int:
        """The lab's process 1 as seen from outside. Raises EnvironmentLackError when the lab has gone."""
        init = namespaces.read_init(self.state_dir)
        if init is None or namespaces.started(f"/proc/{init[0]}") != init[1]:
            raise EnvironmentLackError(f"the lab {self.name!r} has gone", "netctl lab up")
        return init[0]

    def command(self, node: str | None, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` inside, for those who start programs in their own way."""
        if node is not None:
            self.topology.node(node)
        enter = [sys.executable, "-I", "-S", str(Path(namespaces.__file__))]
        return [*enter, str(self.state_dir), node or "-", "--", *argv]

    def popen(self, node: str | None, argv: Sequence[str], **kwargs: Any) -> subprocess.Popen[bytes]:
        """Start a program in the lab's namespaces and a node's network namespace (None: the lab's own, which is empty).

        Inside, /run/netns/NODE exists for every node. The pid is that of a small parent outside, which passes signals
        on (not KILL and STOP; its own end kills the program) and ends with the program's exit code, 128 + N for a
        signal N. ``kwargs`` are those of subprocess.Popen.
        """
        return subprocess.Popen(self.command(node, argv), **kwargs)

    def link_ends(self, provider: str) -> list[LinkEnd]:
        """Both ends of every link of a provider. Raises UsageError when there is no such provider."""
        providers = [node.name for node in self.topology.with_role("provider")]
        if provider not in providers:
            raise UsageError(f"the lab has no provider {provider!r}", "providers: " + ", ".join(providers))
        return [end for link in self.topology.links if provider in {end.node for end in link} for end in link]

    def processes(self) -> list[LabProcess]:
        """What runs in the lab; see LabProcess."""
        return lab_processes(self.state_dir, self.init_pid)

    def agent_socket(self, gateway: str) -> Path:
        """The agent's socket of a gateway, reachable from outside. Raises UsageError when it is no gateway."""
        if self.topology.node(gateway).role != "gateway":
            gateways = ", ".join(node.name for node in self.topology.with_role("gateway"))
            raise UsageError(f"{gateway} is no gateway", f"gateways: {gateways}")
        return self.state_dir / "run" / gateway / "agent.sock"

    def logs(self, node: str) -> list[Path]:
        """The log files of a node's programs, those of what its agent started included."""
        self.topology.node(node)
        folders = [self.state_dir / "log" / node, self.state_dir / "run" / node / "log"]
        return sorted((p for folder in folders if folder.is_dir() for p in folder.glob("*.log")), key=lambda p: p.name)


def lab_agent_sockets() -> list[tuple[str, Path]]:
    """(label, path of agent.sock) of every gateway of every lab of this user that is up; label is LAB/GATEWAY."""
    return [
        (f"{lab.name}/{node.name}", lab.agent_socket(node.name))
        for lab in _labs()
        for node in lab.topology.with_role("gateway")
    ]


def lab_controller_sockets() -> list[tuple[str, Path]]:
    """(label, path of controller.sock) of every controller of every lab that is up; label is LAB/NAME (``c1``)."""
    return [
        (f"{lab.name}/{process.name}", lab.state_dir / "run" / f"{process.node}-{process.name}" / "controller.sock")
        for lab in _labs()
        for process in lab.plan.processes
        if process.role == "controller"
    ]


def lab_checker_sockets() -> list[tuple[str, Path]]:
    """(label, path of checker.sock) of every checker of every lab that is up; label is LAB/CLOUD-checker."""
    names = [
        (lab, f"{lab.topology.node(process.node).cloud}-checker")
        for lab in _labs()
        for process in lab.plan.processes
        if process.role == "checker"
    ]
    return [(f"{lab.name}/{name}", lab.state_dir / "run" / name / "checker.sock") for lab, name in names]


def _labs() -> Iterator[Lab]:
    for name in paths.names():
        try:
            yield Lab.open(name)
        except (EnvironmentLackError, UsageError):
            continue
