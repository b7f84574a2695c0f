"""Drills of the naming half in the packaged lab: what names and requests feel of dead servers, registries, leaders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from netctl.lab import Lab, paths

pytestmark = [pytest.mark.e2e, pytest.mark.root]
NETCTL = [sys.executable, "-m", "netctl.cli.main"]
KEYS = {
    *(f"/vm/orders/{node}" for node in ("a-vm1", "a-vm2", "b-vm1", "b-vm2")),
    *("/vm/ledger/b-vm2", "/vm/ledger/b-vm3", "/vm/web/a-ing", "/vm/web/b-ing"),
}


def netctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*NETCTL, *words], capture_output=True, text=True, check=False, timeout=200)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    name = f"n{uuid.uuid4().hex[:8]}"
    try:
        done = netctl("lab", "up", "--name", name, "--timeout", "150")
        assert done.returncode == 0, done.stderr
        yield Lab.open(name)
    finally:
        netctl("lab", "down", "--name", name)


def drilled(lab: Lab, *words: str) -> dict[str, Any]:
    done = netctl("drill", "run", *words, "--lab", lab.name, "-o", "json")
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, result["verdict"]) == (0, "passed"), result["reason"]
    return result


def keys(lab: Lab) -> set[str]:
    argv = ["etcdctl", "get", "/vm/", "--prefix", "--keys-only", "--endpoints=http://10.1.9.10:2379"]
    asked = lab.popen("mgmt", argv, stdout=subprocess.PIPE, env={**os.environ, "ETCDCTL_API": "3"})
    return set(asked.communicate(timeout=20)[0].decode().split())


def held(lab: Lab) -> list[str]:
    return [str(path) for path in (lab.state_dir / "run" / "held").glob("*/*")]


def wait_for(condition: Callable[[], object], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.1)


def until_steady(lab: Lab) -> None:
    from netctl.drill.io import LabSite

    wait_for(lambda: LabSite(lab).unsteady() == [], 90)


def guardians(lab: Lab) -> list[int]:
    """Pids of the lab's guardians, seen from outside."""
    home = Path(f"/proc/{lab.init_pid}/ns/pid").readlink()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if (entry / "ns/pid").readlink() == home and b"netctl.fault" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


@pytest.mark.parametrize("words", [("--vm", "a-vm1"), ("--vm", "b-vm2", "--signal", "STOP")])
def test_a_dead_server_leaves_the_answers_within_a_second_and_nobody_is_sent_there_after_that(
    lab: Lab, words: tuple[str, ...]
) -> None:
    result = drilled(lab, "vm-death", *words)
    vm = words[1]
    address = lab.topology.address(vm)
    dead = [name for name in result["names"] if address in name["before"]]
    assert {name["cloud"] for name in dead} == {"a", "b"}
    for name in dead:
        assert name["gone_ms"] <= name["gone_limit_ms"]
        assert address not in name["during"]
        assert address in name["after"]
    assert all(name["failed"] == 0 for name in result["names"])
    assert any(one["failed"] for one in result["requests"])  # it was met before it left
    assert all(one["failed_after"] == 0 for one in result["requests"])
    assert held(lab) == []


def test_a_dead_ingress_is_answered_for_by_the_other_cloud_and_comes_home(lab: Lab) -> None:
    result = drilled(lab, "ingress-death", "--cloud", "a")
    home = next(one for one in result["requests"] if one["cloud"] == "a")
    assert set(home["before"]) == {"a"}
    assert home["during"]["b"] > 50
    assert "a" in home["after"]
    name = next(n for n in result["names"] if (n["cloud"], n["name"]) == ("a", "web.netctl.internal"))
    assert (name["before"], name["during"], name["after"]) == (["10.1.6.10"], ["10.2.6.10"], ["10.1.6.10"])
    assert next(one for one in result["requests"] if one["cloud"] == "b")["failed"] == 0


def test_a_wiped_registry_changes_no_answer_shows_holds_and_is_put_back(lab: Lab) -> None:
    result = drilled(lab, "registry-wipe", "--duration", "3s")
    assert set(result["control"]["holds"]) == {"orders", "ledger", "web"}
    assert result["control"]["holds_left"] == {}
    assert all(name["changed"] == 0 and name["failed"] == 0 for name in result["names"])
    assert sum(one["failed"] for one in result["requests"]) == 0
    assert keys(lab) == KEYS


@pytest.mark.parametrize("number", ["KILL", "STOP"])
def test_when_the_leader_dies_another_leads_and_nobody_notices(lab: Lab, number: str) -> None:
    result = drilled(lab, "controller-kill", "--signal", number)
    control, killed = result["control"], result["options"]["controller"]
    assert set(control["led_before"].values()) == {killed}
    assert set(control["led_after"].values()) == {"c1", "c2"} - {killed}
    assert all(0 < led_ms <= 5000 for led_ms in control["led_again_ms"].values())
    assert sum(one["failed"] for one in result["requests"]) == 0


def test_a_provider_cut_tells_what_requests_by_name_felt_beside_its_flows(lab: Lab) -> None:
    result = drilled(lab, "provider-cut")
    assert result["worst_ms"].keys() == {"a_to_b", "b_to_a"}
    requests = {one["name"].partition(".")[0]: one for one in result["requests"]}
    assert (set(requests["orders"]["during"]), requests["orders"]["failed"]) == ({"a"}, 0)
    assert set(requests["ledger"]["during"]) == {"b"}
    assert requests["ledger"]["stretch_ms"] <= 1200


@pytest.mark.parametrize("drill", ["vm-death", "registry-wipe"])
@pytest.mark.parametrize("guardian", ["lives", "is killed too"])
def test_after_kill_9_of_a_running_drill_its_fault_ends(lab: Lab, drill: str, guardian: str) -> None:
    until_steady(lab)
    argv = [*NETCTL, "drill", "run", drill, "--lab", lab.name, "--duration", "6s", "--limit", "8s"]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as runner:
        assert runner.stderr is not None
        said = [b""]
        while not any(word in said[-1] for word in (b": kill -9 page", b": delete every")):
            said.append(runner.stderr.readline())
            assert said[-1], said
        wait_for(lambda: held(lab) or not keys(lab), 5)
        pids = guardians(lab)
        assert pids
        if guardian != "lives":
            for pid in pids:  # before the runner's death: it must not see that
                os.kill(pid, signal.SIGSTOP)
        runner.kill()
    if guardian != "lives":
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert held(lab) or not keys(lab)
    wait_for(lambda: not held(lab) and keys(lab) == KEYS, 30)
    until_steady(lab)


def test_a_program_that_is_held_down_by_hand_is_left_alone_by_drills(lab: Lab) -> None:
    until_steady(lab)
    by_hand = paths.held_file(lab.state_dir / "run", "a-vm1", "page")
    by_hand.parent.mkdir(parents=True, exist_ok=True)
    by_hand.write_text("by-hand", encoding="utf-8")
    try:
        done = netctl("drill", "run", "vm-death", "--vm", "a-vm1", "--lab", lab.name)
        assert done.returncode == 3, done.stdout
        assert "is held down already, by by-hand" in done.stdout
        assert by_hand.exists()
    finally:
        by_hand.unlink()


def test_a_vm_that_serves_nothing_is_a_usage_error_that_names_those_that_do(lab: Lab) -> None:
    done = netctl("drill", "run", "vm-death", "--vm", "a-vm3", "--lab", lab.name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "a-vm1, a-vm2, b-vm1, b-vm2, b-vm3" in done.stderr
