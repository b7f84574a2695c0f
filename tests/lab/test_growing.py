"""The names half comes to a lab that is up; here it is two more machines that serve a page each."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netctl.lab import Lab

if TYPE_CHECKING:
    from tests.lab.conftest import Bench


@pytest.fixture
def pods(bench: Bench) -> Bench:
    bench.add_pods()
    return bench


def pages(bench: Bench) -> dict[str, tuple[int, int]]:
    """Node → which process runs its page."""
    return {p.node: (p.pid, p.started) for p in Lab.open(bench.name).processes() if p.state == "running"}


def test_the_names_half_is_added_to_a_lab_that_is_up_and_nothing_else_changes(pods: Bench) -> None:
    assert pods.up("--only", "routing").returncode == 0
    before = pages(pods)
    assert before.keys() == {"a-vm1", "b-vm1"}
    grown = pods.up()
    assert grown.returncode == 0, grown.stderr
    assert f"the names half of the lab '{pods.name}' is up after" in grown.stderr
    after = pages(pods)
    assert after.keys() == {"a-vm1", "b-vm1", "a-pod1", "b-pod1"}
    assert before.items() <= after.items()
    again = pods.up()
    assert (again.returncode, "is up already" in again.stderr) == (0, True)
    assert pages(pods) == after


def test_all_of_it_comes_up_at_once_when_nothing_is_said(pods: Bench) -> None:
    done = pods.up()
    assert done.returncode == 0, done.stderr
    assert pages(pods).keys() == {"a-vm1", "b-vm1", "a-pod1", "b-pod1"}
    assert "is up already" in pods.up("--only", "routing").stderr


def test_machines_of_the_names_half_are_idle_until_it_is_up(pods: Bench) -> None:
    def states() -> dict[str, str]:
        shown = json.loads(pods.run("status", "-o", "json").stdout)
        return {node["node"]: node["state"] for node in shown["nodes"]}

    assert pods.up("--only", "routing").returncode == 0
    assert states() == {"a-vm1": "up", "b-vm1": "up", "a-pod1": "idle", "b-pod1": "idle"}
    assert pods.up().returncode == 0
    assert set(states().values()) == {"up"}


def test_missing_parts_are_named_before_anything_is_built(pods: Bench, tmp_path: Path) -> None:
    for variable in [name for name in pods.env if name.startswith("NETCTL_")]:
        del pods.env[variable]
    pods.env |= {"NETCTL_CACHE": str(tmp_path / "empty"), "NETCTL_TEST_MARK": pods.name}
    refused = pods.up()
    assert refused.returncode == 3
    for word in ("coredns", "kube-apiserver", "kube-controller-manager", "make parts", "--only routing"):
        assert word in refused.stderr
    assert not pods.state_dir.exists()
    assert pods.up("--only", "routing").returncode == 0
    assert pods.up().returncode == 3
    assert pages(pods).keys() == {"a-vm1", "b-vm1"}


@pytest.mark.parametrize("seed", range(8))
def test_growing_that_was_killed_at_any_moment_is_finished_by_the_next_up(pods: Bench, seed: int) -> None:
    assert pods.up("--only", "routing").returncode == 0
    before = pages(pods)
    kill_within(pods, random.Random(seed).uniform(0.05, 0.6))
    done = pods.up()
    assert done.returncode == 0, done.stderr
    assert pages(pods).keys() == {"a-vm1", "b-vm1", "a-pod1", "b-pod1"}
    assert before.items() <= pages(pods).items()


@pytest.mark.parametrize("seed", range(6))
def test_growing_that_was_killed_at_any_moment_leaves_nothing_after_down(pods: Bench, seed: int) -> None:
    assert pods.up("--only", "routing").returncode == 0
    kill_within(pods, random.Random(50 + seed).uniform(0.05, 0.6))
    assert pods.run("down").returncode == 0
    pods.assert_nothing_left()


def kill_within(bench: Bench, seconds: float) -> None:
    process = subprocess.Popen(bench.up_command(), env=bench.env, stderr=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def grower(bench: Bench) -> subprocess.Popen[str]:
    """A ``lab up`` that has begun to add the names half."""
    process = subprocess.Popen(bench.up_command(), env=bench.env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline().strip() == "adding the names half"
    return process


def test_down_in_the_middle_of_growing_ends_both(pods: Bench) -> None:
    assert pods.up("--only", "routing").returncode == 0
    process = grower(pods)
    process.send_signal(signal.SIGSTOP)
    assert pods.run("down").returncode == 0
    process.send_signal(signal.SIGCONT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode in {3, 4}, errors
    assert "Traceback" not in errors
    pods.assert_nothing_left()


def test_growing_that_was_interrupted_leaves_the_routing_half_up(pods: Bench) -> None:
    assert pods.up("--only", "routing").returncode == 0
    before = pages(pods)
    process = grower(pods)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "the routing half is up" in errors
    assert before.items() <= pages(pods).items()
    assert pods.up().returncode == 0
