"""The lab as a place for drills."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netctl.drill.control import leaders
from netctl.drill.facts import Agent, Facts, GatewayFacts, Host, NamesFacts, Program, Speaker
from netctl.fault.faults import LinkEnd
from netctl.fault.io import ask
from netctl.ipc.messages import Reply, Request
from netctl.lab import Lab
from netctl.lab.ask import listen
from netctl.lab.names.layout import REGISTRY_PORT, REGISTRY_PREFIX
from netctl.lab.paths import held_file, names
from netctl.lab.steady import what_is_missing
from netctl.lab.topology import ZONE
from netctl.model.errors import EnvironmentLackError
from netctl.model.netns.io import namespace_path

_RUN = Path("/run/netctl")
"""STATE/run, as seen from inside a lab."""
_ANSWER_S = 0.25


class LabSite:
    """A lab as a place for drills."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._init_pid = lab.init_pid

    @property
    def name(self) -> str:
        return self._lab.name

    @property
    def folder(self) -> Path:
        return self._lab.state_dir / "run" / "drills"

    @property
    def inside(self) -> str:
        return "/run/netctl/drills"

    def facts(self) -> Facts:
        topology = self._lab.topology
        providers = [node.name for node in topology.with_role("provider")]
        return Facts(
            lab=self.name,
            hosts=tuple(self._host(node.name) for node in topology.with_role("vm")),
            gateways=tuple(
                GatewayFacts(
                    node.name,
                    node.cloud or "",
                    {n.own.interface: n.node.name for n in topology.neighbours(node.name) if n.node.name in providers},
                )
                for node in topology.with_role("gateway")
            ),
            provider_links={
                name: tuple(LinkEnd(namespace_path(e.node), e.interface) for e in self._lab.link_ends(name))
                for name in providers
            },
            agents=tuple(
                Agent(p.node, _pid_inside(p.pid), p.started, f"/run/netctl/{p.node}/agent.sock")
                for p in self._lab.processes()
                if p.role == "agent" and p.pid
            ),
            speakers=tuple(
                Speaker(p.node, p.name.removeprefix("speaker-"), _pid_inside(p.pid), p.started)
                for p in self._lab.processes()
                if p.role == "speaker" and p.pid
            ),
            names=self._names(),
        )

    def _names(self) -> NamesFacts | None:
        topology, plan = self._lab.topology, self._lab.plan
        registries = topology.with_role("mgmt")
        if not (registries and plan.with_role("registrar") and plan.with_role("coredns")):
            return None
        services: dict[str, tuple[Host, ...]] = {}
        for registrar in plan.with_role("registrar"):
            service = registrar.name.removeprefix("registrar-")
            services[service] = (*services.get(service, ()), self._host(registrar.node))
        registry = registries[0].name
        return NamesFacts(
            zone=ZONE,
            services=services,
            servers={topology.node(p.node).cloud or "": topology.address(p.node) for p in plan.with_role("coredns")},
            programs=tuple(
                Program(
                    p.node,
                    p.name,
                    p.role,
                    _pid_inside(p.pid) if p.pid else 0,
                    p.started,
                    str(held_file(_RUN, p.node, p.name)),
                )
                for p in self._lab.processes()
                if p.role in {"page", "haproxy", "controller"}
            ),
            registry=f"{topology.address(registry)}:{REGISTRY_PORT}",
            registry_netns=namespace_path(registry),
            registry_prefix=REGISTRY_PREFIX,
            controllers=tuple(p.name for p in plan.with_role("controller")),
            leaders=leaders(self.controllers()),
        )

    def _host(self, node: str) -> Host:
        return Host(node, self._lab.topology.address(node), self._lab.topology.node(node).cloud or "")

    def controllers(self) -> dict[str, dict[str, Any] | None]:
        return {
            plan.name: _at_once(self._lab.state_dir / "run" / f"{plan.node}-{plan.name}" / "controller.sock")
            for plan in self._lab.plan.with_role("controller")
        }

    def gone(self) -> bool:
        try:
            return self._lab.init_pid != self._init_pid
        except EnvironmentLackError:
            return True

    def unsteady(self) -> list[str]:
        missing = []
        for gateway in self._lab.topology.with_role("gateway"):
            try:
                body = ask(str(self._lab.agent_socket(gateway.name)), Request("status")).body
            except EnvironmentLackError as error:
                missing.append(f"{gateway.name}: {error.message}")
                continue
            if not body["steady"]:
                missing.append(f"{gateway.name}: {_restless(body)}")
        return missing or [f"{node}: {what}" for node, what in what_is_missing(self._lab)]

    def popen(self, node: str | None, argv: Sequence[str], **kwargs: Any) -> subprocess.Popen[bytes]:
        return self._lab.popen(node, argv, **kwargs)


def _at_once(socket: Path) -> dict[str, Any] | None:
    """A controller's status; None when it does not answer within a moment."""
    heard = listen(socket, lambda m: isinstance(m, Reply), within_s=_ANSWER_S, question=Request("status"))
    return next((message.body for message in heard if isinstance(message, Reply)), None)


def _restless(body: dict[str, Any]) -> str:
    """What the agent is not content with, from its status."""
    for peer in body["peers"]:
        for what, good in (("bgp", ("up",)), ("complete", (True,)), ("bfd", ("up", "none")), ("member", ("home",))):
            if peer[what] not in good:
                return f"{what} of peer {peer['name']} is {peer[what]}"
        if peer["stale"]:
            return f"{peer['stale']} routes of peer {peer['name']} are stale"
    return "its agent is still at work"


def _pid_inside(pid: int) -> int:
    """The pid in the innermost PID namespace that the process is in (proc(5), NSpid)."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        if found := re.search(r"^NSpid:.*?(\d+)$", status, re.MULTILINE):
            return int(found[1])
    return 0


def open_site(name: str) -> LabSite:
    """Raises EnvironmentLackError when that lab is not up."""
    return LabSite(Lab.open(name))


def lab_names() -> list[str]:
    """Every lab of this user that has files, up or not."""
    return names()
