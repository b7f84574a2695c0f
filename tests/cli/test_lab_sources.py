"""Which programs of a lab the commands find, and under which names."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from netctl.cli.sources import lab_sources
from netctl.lab import api


def test_a_labs_gateways_controllers_and_checkers_are_found_by_their_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = {"ga1": "a", "mgmt": "a", "a-kube": "a", "b-kube": "b"}
    topology = SimpleNamespace(
        with_role=lambda role: [SimpleNamespace(name="ga1")] if role == "gateway" else [],
        node=lambda name: SimpleNamespace(name=name, cloud=nodes[name]),
    )
    roles = [("mgmt", "etcd", "etcd"), ("mgmt", "c1", "controller"), ("mgmt", "c2", "controller")]
    roles += [("a-kube", "checker", "checker"), ("b-kube", "checker", "checker"), ("a-kube", "apiserver", "kube")]
    processes = [SimpleNamespace(node=node, name=name, role=role) for node, name, role in roles]
    lab = SimpleNamespace(
        name="one",
        state_dir=Path("/state"),
        topology=topology,
        plan=SimpleNamespace(processes=processes),
        agent_socket=lambda name: Path("/state/run", name, "agent.sock"),
    )
    monkeypatch.setattr(api, "_labs", lambda: iter([lab]))
    assert [(source.label, str(source.socket), source.program) for source in lab_sources()] == [
        ("one/ga1", "/state/run/ga1/agent.sock", "agent"),
        ("one/c1", "/state/run/mgmt-c1/controller.sock", "controller"),
        ("one/c2", "/state/run/mgmt-c2/controller.sock", "controller"),
        ("one/a-checker", "/state/run/a-checker/checker.sock", "checker"),
        ("one/b-checker", "/state/run/b-checker/checker.sock", "checker"),
    ]
