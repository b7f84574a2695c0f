"""``lab up`` and ``lab down``, whatever is killed in between."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netctl.lab import Lab

if TYPE_CHECKING:
    from tests.lab.conftest import Bench


def root_namespace() -> dict[str, str]:
    """What a lab must not touch: interfaces, routes, mounts, sysctls of the network."""
    seen = {name: Path(name).read_text(encoding="utf-8") for name in ("/proc/net/route", "/proc/self/mountinfo")}
    seen["interfaces"] = " ".join(sorted(name for _, name in socket.if_nameindex()))
    for path in sorted(Path("/proc/sys/net/ipv4").rglob("*")):
        try:
            seen[str(path)] = path.read_text(encoding="utf-8") if path.is_file() else ""
        except OSError:
            continue
    return {name: text for name, text in seen.items() if "route/flush" not in name and "tcp_mem" not in name}


def test_a_lab_comes_up_answers_and_goes_without_a_trace(bench: Bench) -> None:
    before = root_namespace()
    done = bench.up()
    assert done.returncode == 0, done.stderr
    lab = Lab.open(bench.name)
    assert {p.role for p in lab.processes()} == {"page"}
    assert all(p.pid and p.state == "running" for p in lab.processes())
    assert len(bench.processes()) == 3  # init and two pages: the mark is seen
    assert root_namespace() == before
    down = bench.run("down")
    assert down.returncode == 0, down.stderr
    bench.assert_nothing_left()
    assert root_namespace() == before


def test_up_twice_says_so_and_changes_nothing(bench: Bench) -> None:
    assert bench.up().returncode == 0
    before = [(p.pid, p.started) for p in Lab.open(bench.name).processes()]
    again = bench.up()
    assert again.returncode == 0
    assert "is up already" in again.stderr
    assert [(p.pid, p.started) for p in Lab.open(bench.name).processes()] == before


def test_two_ups_at_once_make_one_lab(bench: Bench) -> None:
    both = [subprocess.Popen(bench.up_command(), env=bench.env, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert sum("is up already" in text for text in errors) == 1
    assert len(Lab.open(bench.name).processes()) == 2


def test_another_topology_is_refused_while_one_is_up(bench: Bench) -> None:
    assert bench.up().returncode == 0
    bench.edit_topology("10.1.1.2/30", "10.1.1.2/29")
    refused = bench.up()
    assert refused.returncode == 3
    assert f"netctl lab down --name {bench.name}" in refused.stderr
    assert len(Lab.open(bench.name).processes()) == 2


def test_a_lab_with_other_daemons_is_good_enough_unless_some_are_asked_for(bench: Bench) -> None:
    pair = "  - {name: ra, role: provider, asn: 1, daemon: frr}\n"
    pair += "  - {name: rb, role: fabric, cloud: b, asn: 2, daemon: bird}\n"
    bench.edit_topology("links:\n", pair + "links:\n  - [ra eth0 10.1.2.1/30, rb eth0 10.1.2.2/30]\n")
    done = bench.up("--providers", "bird")
    assert done.returncode == 0, done.stderr
    again = bench.up()
    assert (again.returncode, "is up already" in again.stderr) == (0, True)
    assert bench.up("--providers", "embedded").returncode == 3


def test_down_of_a_lab_that_is_not_there_is_no_error(bench: Bench) -> None:
    down = bench.run("down")
    assert down.returncode == 0
    assert "there is no lab" in down.stderr


def test_labs_run_side_by_side(bench: Bench, tmp_path: Path) -> None:
    other = bench.another(tmp_path / "other")
    try:
        assert bench.up().returncode == 0
        assert other.up().returncode == 0
        listed = bench.list()
        assert listed[bench.name] == listed[other.name] == "up"
        assert bench.run("down").returncode == 0
        assert len(Lab.open(other.name).processes()) == 2
    finally:
        other.run("down")
    other.assert_nothing_left()


def test_killing_init_ends_everything_and_up_builds_anew(bench: Bench) -> None:
    assert bench.up().returncode == 0
    os.kill(Lab.open(bench.name).init_pid, signal.SIGKILL)
    assert bench.wait_for(lambda: bench.processes() == {})
    assert bench.run("status").returncode == 3
    assert bench.up().returncode == 0
    assert len(Lab.open(bench.name).processes()) == 2


def test_a_program_that_is_killed_is_started_again(bench: Bench) -> None:
    assert bench.up().returncode == 0
    lab = Lab.open(bench.name)
    first = lab.processes()[0]
    os.kill(first.pid, signal.SIGKILL)

    def back() -> bool:
        now = lab.processes()[0]
        return now.state == "running" and now.pid not in (0, first.pid) and now.restarts == 1

    assert bench.wait_for(back)


@pytest.mark.parametrize("step", ["namespaces and links", "programs"])
def test_up_killed_after_a_step_leaves_nothing_after_down(bench: Bench, step: str) -> None:
    process = subprocess.Popen(bench.up_command(), env=bench.env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip() == step:
            process.kill()
            break
    else:
        pytest.fail("the step was not told")
    process.communicate()
    assert bench.run("down").returncode == 0
    bench.assert_nothing_left()


@pytest.mark.parametrize("seed", range(20))
def test_up_killed_at_any_moment_leaves_nothing_after_down(bench: Bench, seed: int) -> None:
    process = subprocess.Popen(bench.up_command(), env=bench.env, stderr=subprocess.DEVNULL)
    try:
        process.wait(random.Random(seed).uniform(0.05, 1.2))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    down = bench.run("down")
    assert down.returncode == 0, down.stderr
    bench.assert_nothing_left()


@pytest.mark.parametrize("seed", range(5))
def test_up_killed_at_any_moment_is_built_anew_by_the_next_up(bench: Bench, seed: int) -> None:
    process = subprocess.Popen(bench.up_command(), env=bench.env, stderr=subprocess.DEVNULL)
    try:
        process.wait(random.Random(100 + seed).uniform(0.1, 1.0))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    done = bench.up()
    assert done.returncode == 0, done.stderr
    assert len(Lab.open(bench.name).processes()) == 2


def test_up_interrupted_by_ctrl_c_leaves_nothing(bench: Bench) -> None:
    process = subprocess.Popen(bench.up_command(), env=bench.env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline().strip() == "namespaces and links"
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 130
    assert rest.splitlines()[-1] == "netctl: interrupted; nothing is left"
    assert "Traceback" not in rest
    bench.assert_nothing_left()
