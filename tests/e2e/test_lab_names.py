"""The whole packaged lab: Kubernetes, CoreDNS, controllers and checkers beside gateways and routers."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from netctl.lab import Lab, paths
from netctl.lab.steady import what_is_missing

pytestmark = [pytest.mark.e2e, pytest.mark.root]
NETCTL = [sys.executable, "-m", "netctl.cli.main"]
ORDERS = {"a": {"10.1.1.10", "10.1.2.10"}, "b": {"10.2.1.10", "10.2.2.10"}}
LEDGER = {"10.2.2.10", "10.2.3.10"}


def netctl(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*NETCTL, *words], env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=200
    )


def up(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return netctl("lab", "up", "--name", name, "--timeout", "150", *words)


def inside(lab: Lab, node: str, *argv: str) -> str:
    done = netctl("lab", "exec", "--name", lab.name, node, "--", *argv)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dig(lab: Lab, node: str, name: str) -> set[str]:
    return set(inside(lab, node, "dig", "+short", name).split())


def wait_for(condition: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    name = f"n{uuid.uuid4().hex[:8]}"
    done = up(name)
    try:
        assert done.returncode == 0, done.stderr
        yield Lab.open(name)
    finally:
        down = netctl("lab", "down", "--name", name)
    assert down.returncode == 0, down.stderr
    assert not paths.state_dir(name).exists()


@pytest.fixture(scope="module")
def status(lab: Lab) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(netctl("lab", "status", "--name", lab.name, "-o", "json").stdout)
    return data


def test_every_node_is_up_with_all_its_programs(status: dict[str, Any]) -> None:
    assert {node["node"] for node in status["nodes"] if node["state"] != "up"} == set()
    assert len(status["nodes"]) == 23
    states = {(p["node"], p["name"]): p["state"] for p in status["processes"]}
    assert {name for name, state in states.items() if state != "running"} == {
        ("a-kube", "kube-setup"),
        ("b-kube", "kube-setup"),
    }
    assert {("mgmt", "c1"), ("mgmt", "c2"), ("a-dns", "coredns"), ("b-kube", "checker")} <= states.keys()


def test_status_says_who_leads_and_what_each_cloud_answers(status: dict[str, Any]) -> None:
    for row in status["names"]:
        assert (row["api"], row["holds"]) == ("ok", 0)
        assert row["leader"] in {"c1", "c2"}
        assert row["checker"] == "connected to c1 and c2"
        assert set(row["answers"]["orders.netctl.internal"].split(", ")) == ORDERS[row["cloud"]]


@pytest.mark.parametrize(
    ("node", "cloud"), [("a-vm1", "a"), ("b-vm1", "b"), ("a-pod1", "a"), ("b-ing", "b"), ("mgmt", "a")]
)
def test_a_machine_that_asks_is_told_its_own_clouds_machines(lab: Lab, node: str, cloud: str) -> None:
    assert dig(lab, node, "orders.netctl.internal") == ORDERS[cloud]
    assert dig(lab, node, "ledger.netctl.internal") == LEDGER


def test_a_short_name_is_enough_for_http_and_stays_in_the_cloud_where_it_can(lab: Lab) -> None:
    assert "in cloud a answers" in inside(lab, "a-vm3", "curl", "-sf", "http://orders/")
    assert "in cloud b answers" in inside(lab, "a-vm3", "curl", "-sf", "http://ledger/")
    assert inside(lab, "b-vm1", "curl", "-sf", "http://web/").startswith("b-pod")


def test_up_again_says_that_it_is_up(lab: Lab) -> None:
    for words in ((), ("--only", "routing")):
        again = up(lab.name, *words)
        assert (again.returncode, "is up already" in again.stderr) == (0, True)


def test_a_machine_whose_server_is_held_down_leaves_the_names_and_comes_back(lab: Lab) -> None:
    (page,) = [p for p in lab.processes() if (p.node, p.name) == ("a-vm1", "page")]
    held = paths.held_file(lab.state_dir / "run", "a-vm1", "page")
    held.parent.mkdir(parents=True)
    held.write_text("by-hand", encoding="utf-8")
    os.kill(page.pid, signal.SIGKILL)
    try:
        assert wait_for(lambda: dig(lab, "a-vm2", "orders.netctl.internal") == {"10.1.2.10"}, 5.0)
        assert ("a-vm1", "page is held down by a drill") in what_is_missing(lab)
        shown = json.loads(netctl("lab", "status", "--name", lab.name, "-o", "json").stdout)
        assert [node["node"] for node in shown["nodes"] if node["state"] == "degraded"] == ["a-vm1"]
    finally:
        held.unlink()
    assert wait_for(lambda: dig(lab, "a-vm2", "orders.netctl.internal") == ORDERS["a"], 10.0)
    assert wait_for(lambda: what_is_missing(lab) == [], 30.0)


@pytest.mark.parametrize("seed", range(3))
def test_growing_that_was_killed_at_any_moment_is_finished_by_the_next_up(seed: int) -> None:
    name = f"n{uuid.uuid4().hex[:8]}"
    try:
        assert up(name, "--only", "routing").returncode == 0
        process = subprocess.Popen([*NETCTL, "lab", "up", "--name", name], stderr=subprocess.DEVNULL)
        kill_within(process, random.Random(seed).uniform(0.2, 5.0))
        done = up(name)
        assert done.returncode == 0, done.stderr
        assert dig(Lab.open(name), "b-vm1", "orders.netctl.internal") == ORDERS["b"]
    finally:
        assert netctl("lab", "down", "--name", name).returncode == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_whole_lab_killed_while_it_comes_up_leaves_nothing(seed: int) -> None:
    name = f"n{uuid.uuid4().hex[:8]}"
    env = {**os.environ, "NETCTL_TEST_MARK": name}
    process = subprocess.Popen([*NETCTL, "lab", "up", "--name", name], env=env, stderr=subprocess.DEVNULL)
    kill_within(process, random.Random(seed).uniform(2.0, 12.0))
    assert netctl("lab", "down", "--name", name).returncode == 0
    assert not paths.state_dir(name).exists()
    assert [path for path in Path("/proc").glob("[0-9]*/environ") if f"={name}".encode() in _read(path)] == []


def kill_within(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
