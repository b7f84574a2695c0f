"""What the names half still lacks, from what controllers, APIs and name servers say."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netctl.lab import Lab, names_steady
from netctl.lab.names_steady import CloudLook, expected_answers, missing_names, names_rows
from netctl.lab.plan import LabPlan, ProcessPlan
from netctl.lab.topology import load_topology

Body = dict[str, Any]
PROGRAMS = {
    "a-kube": ["kube-apiserver", "checker"],
    "b-kube": ["kube-apiserver", "checker"],
    "a-dns": ["coredns"],
    "b-dns": ["coredns"],
    "a-vm1": ["registrar-orders"],
    "b-vm1": ["registrar-orders"],
    "b-vm2": ["registrar-ledger"],
}
ANSWERS = {
    "a": {"orders.netctl.internal": ["10.1.1.10"], "ledger.netctl.internal": ["10.2.2.10"]},
    "b": {"orders.netctl.internal": ["10.2.1.10"], "ledger.netctl.internal": ["10.2.2.10"]},
}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    def program(node: str, name: str, role: str) -> ProcessPlan:
        return ProcessPlan(node, name, role, (name,), "/log", half="names")

    processes = [
        program(node, name, "registrar" if name.startswith("registrar-") else name)
        for node, names in PROGRAMS.items()
        for name in names
    ]
    processes += [program("mgmt", name, "controller") for name in ("c1", "c2")]
    return Lab(LabPlan("x", str(tmp_path), load_topology(), tuple(processes)))


def content(leading: bool) -> Body:
    """The status of a controller that is content."""
    state = "leading" if leading else "standby"
    return {
        "sources": [{"name": "vms", "state": "synced", "reason": ""}],
        "clusters": [{"name": c, "cloud": c, "state": state, "pending": 0, "reason": ""} for c in ("a", "b")],
        "checkers": [{"cloud": c, "name": f"{c}-checker", "connected": True} for c in ("a", "b")],
        "failing": [],
        "holds": [],
    }


class World:
    """What is said; all is well at first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bodies: dict[str, Body | None] = {"c1": content(leading=True), "c2": content(leading=False)}
        self.looks = {cloud: CloudLook("ok", copy.deepcopy(answers)) for cloud, answers in ANSWERS.items()}
        monkeypatch.setattr(names_steady, "controllers", lambda _: self.bodies)
        monkeypatch.setattr(names_steady, "look", lambda _: self.looks)

    def body(self, name: str) -> Body:
        found = self.bodies[name]
        assert found is not None
        return found


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_cloud_answers_with_its_own_machines_and_with_the_others_where_it_has_none(lab: Lab) -> None:
    found = {cloud: {name: sorted(a) for name, a in names.items()} for cloud, names in expected_answers(lab).items()}
    assert found == ANSWERS


def test_nothing_is_missing_when_all_is_well(lab: Lab, world: World) -> None:
    assert missing_names(lab) == []


def lose_leader(world: World) -> None:
    world.body("c1")["clusters"][0] |= {"state": "unreachable", "reason": "connection refused"}


def two_leaders(world: World) -> None:
    world.body("c2")["clusters"][1]["state"] = "leading"


def silence(world: World) -> None:
    world.bodies["c2"] = None


def lose_source(world: World) -> None:
    world.body("c1")["sources"][0] |= {"state": "lost", "reason": "no answer"}


def pend(world: World) -> None:
    world.body("c1")["clusters"][1]["pending"] = 2


def disconnect(world: World) -> None:
    world.body("c2")["checkers"][0]["connected"] = False


def fail(world: World) -> None:
    world.body("c1")["failing"] = [{"service": "orders", "instance": "a-vm1", "cloud": "a", "detail": "refused"}]


def hold(world: World) -> None:
    world.body("c1")["holds"] = [{"id": "h1", "reason": "2 of 2 would go"}]


def wrong_answer(world: World) -> None:
    world.looks["a"].answers["orders.netctl.internal"] = ["10.2.1.10"]


def no_answer(world: World) -> None:
    del world.looks["b"].answers["ledger.netctl.internal"]
    world.looks["b"].errors["ledger.netctl.internal"] = "SERVFAIL"


def api_away(world: World) -> None:
    world.looks["b"] = CloudLook("not ready (HTTP 500)", ANSWERS["b"])


@pytest.mark.parametrize(
    ("happens", "node", "said"),
    [
        (lose_leader, "mgmt", "cluster a is led by no controller: connection refused"),
        (two_leaders, "mgmt", "cluster b is led by c1 and c2"),
        (silence, "mgmt", "controller c2 does not answer"),
        (lose_source, "mgmt", "c1: source vms is lost no answer"),
        (pend, "mgmt", "c1: 2 services of cluster b are to be written"),
        (disconnect, "mgmt", "c2: the checker of cloud a is not connected"),
        (fail, "mgmt", "c1: orders on a-vm1 fails its checks: refused"),
        (hold, "mgmt", "c1: hold h1: 2 of 2 would go"),
        (wrong_answer, "a-dns", "orders.netctl.internal is 10.2.1.10 instead of 10.1.1.10"),
        (no_answer, "b-dns", "ledger.netctl.internal is SERVFAIL instead of 10.2.2.10"),
        (api_away, "b-kube", "the Kubernetes API: not ready (HTTP 500)"),
    ],
)
def test_what_is_missing_is_said_in_words(
    lab: Lab, world: World, happens: Callable[[World], None], node: str, said: str
) -> None:
    happens(world)
    assert missing_names(lab) == [(node, said)]


def test_status_has_a_row_for_each_cloud(lab: Lab, world: World) -> None:
    no_answer(world)
    a, b = names_rows(lab)
    assert a == {
        "cloud": "a",
        "api": "ok",
        "leader": "c1",
        "checker": "connected to c1 and c2",
        "holds": 0,
        "answers": {"orders.netctl.internal": "10.1.1.10", "ledger.netctl.internal": "10.2.2.10"},
    }
    assert b["answers"] == {"orders.netctl.internal": "10.2.1.10", "ledger.netctl.internal": "SERVFAIL"}
