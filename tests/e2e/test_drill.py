"""Drills in the packaged lab: real agents, BIRD, FRR; measured and judged as an operator would see it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from netctl.lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.root]
NETCTL = [sys.executable, "-m", "netctl.cli.main"]


def netctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*NETCTL, *words], capture_output=True, text=True, check=False, timeout=180)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    name = f"d{uuid.uuid4().hex[:8]}"
    try:
        done = netctl("lab", "up", "--name", name, "--only", "routing", "--timeout", "90")
        assert done.returncode == 0, done.stderr
        yield Lab.open(name)
    finally:
        netctl("lab", "down", "--name", name)


def cut_ends(lab: Lab) -> list[str]:
    """Interfaces of routers that drop everything, as NODE LINE."""
    found = []
    for node in lab.topology.with_role("gateway", "provider"):
        shown = lab.popen(node.name, ["tc", "qdisc", "show"], stdout=subprocess.PIPE).communicate(timeout=20)[0]
        found += [f"{node.name} {line}" for line in shown.decode().splitlines() if "blackhole" in line]
    return found


def programs_of(lab: Lab, module: str) -> list[int]:
    """Pids of the Python programs in the lab that run ``module``."""
    home = Path(f"/proc/{lab.init_pid}/ns/pid").readlink()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if (entry / "ns/pid").readlink() == home and module.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


def until_steady(lab: Lab) -> None:
    """Also what a killed drill has disturbed comes back by itself."""
    from netctl.drill.io import LabSite

    deadline = time.monotonic() + 90
    while missing := LabSite(lab).unsteady():
        assert time.monotonic() < deadline, missing
        time.sleep(0.2)


def drilled(lab: Lab, *words: str) -> tuple[int, dict[str, Any]]:
    done = netctl("drill", "run", *words, "--lab", lab.name, "-o", "json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("provider", ["pa", "pb"])
def test_a_provider_cut_interrupts_no_flow_for_more_than_200_ms(lab: Lab, provider: str) -> None:
    code, result = drilled(lab, "provider-cut", "--provider", provider)
    assert (code, result["verdict"]) == (0, "passed"), result["reason"]
    assert result["objective_ms"] == 200
    assert sorted(result["worst_ms"]) == ["a_to_b", "b_to_a"]
    assert all(0 < worst <= 200 for worst in result["worst_ms"].values())
    for direction in ("a_to_b", "b_to_a"):
        for via in ("pa", "pb"):
            flows = [f for f in result["flows"] if (f["direction"], f["via"]) == (direction, via)]
            assert len(flows) >= 2
            assert all((f["lost"] > 0) == (via == provider) for f in flows)
    assert cut_ends(lab) == []


def test_a_provider_cut_while_every_agent_is_stopped_is_no_worse(lab: Lab) -> None:
    code, result = drilled(lab, "provider-cut", "--agents", "STOP")
    assert code == 0, result["reason"]


@pytest.mark.parametrize("number", ["KILL", "STOP"])
def test_an_agents_death_loses_no_packet(lab: Lab, number: str) -> None:
    code, result = drilled(lab, "agent-kill", "--signal", number)
    assert code == 0, result["reason"]
    assert sum(flow["lost"] for flow in result["flows"]) == 0


def test_a_reset_of_one_session_leaves_the_other_providers_flows_alone(lab: Lab) -> None:
    code, result = drilled(lab, "bgp-reset", "--peer", "pb")
    assert code == 0, result["reason"]
    assert all(flow["lost"] == 0 for flow in result["flows"] if flow["via"] == "pa")


def test_an_objective_that_cannot_be_met_is_missed_with_exit_code_1(lab: Lab) -> None:
    code, result = drilled(lab, "provider-cut", "--objective-ms", "20", "--duration", "1s")
    assert (code, result["verdict"]) == (1, "missed")


@pytest.mark.parametrize("seed", range(2))
def test_after_kill_9_of_a_running_drill_its_fault_ends(lab: Lab, seed: int) -> None:
    until_steady(lab)
    argv = [*NETCTL, "drill", "run", "provider-cut", "--lab", lab.name, "--duration", "30s"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as runner:
        assert runner.stderr is not None
        while b": cut " not in (line := runner.stderr.readline()):
            assert line, "the drill ended early"
        time.sleep(random.Random(seed).uniform(0, 0.5))  # the moment of death is the input here
        os.kill(runner.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while cut_ends(lab) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert netctl("drill", "recover", "--lab", lab.name).returncode == 0
    assert cut_ends(lab) == []


@pytest.mark.parametrize("how", ["killed", "stopped", "killed, journal damaged"])
def test_a_fault_ends_at_its_limit_when_the_runner_is_dead_and_the_guardian_is(lab: Lab, how: str) -> None:
    until_steady(lab)
    command = [*NETCTL, "drill", "run", "provider-cut", "--lab", lab.name, "--duration", "8s", "--limit", "10s"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as runner:
        assert runner.stderr is not None
        for line in runner.stderr:
            if b": cut " in line:
                break
        while not cut_ends(lab):
            assert runner.poll() is None
        guardians = programs_of(lab, "netctl.fault")
        for guardian in guardians:  # before the runner's death: it must not see that
            os.kill(guardian, signal.SIGSTOP)
        runner.kill()
    if how != "stopped":
        for guardian in guardians:
            os.kill(guardian, signal.SIGKILL)
    assert cut_ends(lab)
    if how.endswith("damaged"):
        newest = max((lab.state_dir / "run" / "drills").glob("*.journal"), key=lambda path: path.stat().st_mtime)
        newest.write_bytes(newest.read_bytes()[:-20])
    deadline = time.monotonic() + 30
    while cut_ends(lab):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    until_steady(lab)


def test_results_are_kept_and_shown(lab: Lab) -> None:
    until_steady(lab)
    code, result = drilled(lab, "agent-kill", "--duration", "200ms")
    shown = netctl("drill", "show", result["id"], "--lab", lab.name, "-o", "json")
    assert code == 0, result["reason"]
    assert json.loads(shown.stdout) == result


def test_a_drill_about_names_is_refused_in_a_lab_that_has_only_its_routing_half(lab: Lab) -> None:
    done = netctl("drill", "run", "vm-death", "--lab", lab.name)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"the naming half of the lab '{lab.name}' is not up" in done.stderr
    assert f"netctl lab up --name {lab.name}" in done.stderr


def test_without_a_lab_a_drill_is_refused_and_a_recovery_has_nothing_to_do() -> None:
    refused = netctl("drill", "run", "provider-cut", "--lab", "nowhere")
    assert refused.returncode == 3
    assert "netctl lab up --name nowhere" in refused.stderr
    assert netctl("drill", "recover", "--lab", "nowhere").returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("provider-cutt",), "there is no drill 'provider-cutt'"),
        (("provider-cut", "--duration", "soon"), "not a duration"),
        (("provider-cut", "--duration", "70s"), "--limit 60s ends the fault"),
        (("agent-kill", "--signal", "HUP"), "not one of KILL, STOP"),
    ],
)
def test_a_wrong_word_is_told_in_one_line(words: tuple[str, ...], said: str) -> None:
    done = netctl("drill", "run", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_provider_that_the_lab_has_not_got_is_a_usage_error_that_names_those_it_has(lab: Lab) -> None:
    done = netctl("drill", "run", "provider-cut", "--provider", "pc", "--lab", lab.name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pa, pb" in done.stderr
    assert "steady" not in done.stderr  # it is noticed before anything else
    kept = json.loads(netctl("drill", "show", "--name", lab.name, "-o", "json").stdout)
    assert not any("pc" in result["options"].values() for result in kept)


def test_a_lab_is_not_taken_down_under_a_drill_unless_forced_and_then_the_drill_is_aborted() -> None:
    name = f"d{uuid.uuid4().hex[:8]}"
    try:
        done = netctl("lab", "up", "--name", name, "--only", "routing", "--timeout", "90")
        assert done.returncode == 0, done.stderr
        argv = [*NETCTL, "drill", "run", "provider-cut", "--lab", name, "--duration", "30s", "-o", "json"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as runner:
            assert runner.stderr is not None
            while b": cut " not in (line := runner.stderr.readline()):
                assert line, "the drill ended early"
            refused = netctl("lab", "down", "--name", name)
            assert (refused.returncode, f"of pid {runner.pid} is running" in refused.stderr) == (3, True)
            assert netctl("lab", "down", "--name", name, "--force").returncode == 0
            result = json.loads(runner.communicate(timeout=30)[0])
        assert (runner.returncode, result["reason"]) == (4, "the lab was taken down, and the fault with it")
    finally:
        netctl("lab", "down", "--name", name)
