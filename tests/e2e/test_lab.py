"""The routing half of the packaged lab: agents, BIRD, FRR, VMs."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netctl.lab import Lab, paths

pytestmark = pytest.mark.e2e
NETCTL = [sys.executable, "-m", "netctl.cli.main"]


def netctl(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*NETCTL, *words], env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=150
    )


def ip(lab: Lab, node: str, *words: str) -> list[dict[str, Any]]:
    asked = lab.popen(node, ["ip", "-j", *words], stdout=subprocess.PIPE)
    answer: list[dict[str, Any]] = json.loads(asked.communicate(timeout=20)[0])
    return answer


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    name = f"e{uuid.uuid4().hex[:8]}"
    done = netctl("lab", "up", "--name", name, "--only", "routing", "--timeout", "90")
    try:
        assert done.returncode == 0, done.stderr
        yield Lab.open(name)
    finally:
        down = netctl("lab", "down", "--name", name)
    assert down.returncode == 0, down.stderr
    assert not paths.state_dir(name).exists()


@pytest.fixture(scope="module")
def status(lab: Lab) -> dict[str, Any]:
    done = netctl("lab", "status", "--name", lab.name, "-o", "json")
    assert done.returncode == 0, done.stderr
    data: dict[str, Any] = json.loads(done.stdout)
    return data


def test_every_node_is_shown_up(status: dict[str, Any]) -> None:
    assert {node["node"] for node in status["nodes"] if node["state"] == "up"} == {
        *("pa", "pb", "ga1", "fa", "a-vm1", "a-vm2", "a-vm3", "gb1", "fb", "b-vm1", "b-vm2", "b-vm3")
    }
    assert {node["state"] for node in status["nodes"]} == {"up", "idle"}  # the names half's are there, without programs


def test_both_ends_of_every_session_are_shown_up(status: dict[str, Any]) -> None:
    ends = {(s["node"], s["peer"], s["protocol"]) for s in status["sessions"] if s["state"] == "up"}
    for gateway, fabric in (("ga1", "fa"), ("gb1", "fb")):
        for provider in ("pa", "pb"):
            for protocol in ("bgp", "bfd"):
                assert {(gateway, provider, protocol), (provider, gateway, protocol)} <= ends
        assert {(gateway, "fabric", "bgp"), (fabric, gateway, "bgp")} <= ends


def test_what_is_up_has_no_detail_whichever_daemon_was_asked(status: dict[str, Any]) -> None:
    assert {s["detail"] for s in status["sessions"] if s["state"] == "up"} == {""}


def test_the_daemons_own_clients_need_no_options(lab: Lab) -> None:
    def ask(node: str, *words: str) -> str:
        done = netctl("lab", "exec", "--name", lab.name, node, "--", *words, PATH="/usr/bin:/bin")
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "n_ga1" in ask("pa", "birdc", "show protocols")
    assert "n_ga1" not in ask("fb", "birdc", "show protocols")
    assert "local AS number 65002" in ask("pb", "vtysh", "-c", "show bgp summary")
    assert ask("a-vm1", "curl", "-sf", "http://b-vm1/") == "b-vm1 in cloud b answers\n"


def test_the_logs_hold_no_advice_of_exabgp(lab: Lab) -> None:
    assert lab.logs("ga1")
    assert not [path for path in lab.logs("ga1") if "advice" in path.read_text(encoding="utf-8")]


def test_every_process_is_shown_with_the_node_it_runs_on(status: dict[str, Any]) -> None:
    roles = {(p["node"], p["role"]) for p in status["processes"] if p["state"] == "running"}
    for gateway in ("ga1", "gb1"):
        assert {(gateway, role) for role in ("agent", "liveness", "speaker", "relay")} <= roles
    assert {("b-vm3", "page"), ("fa", "bird")} <= roles
    speakers = sorted(p["name"] for p in status["processes"] if p["node"] == "ga1" and p["role"] == "speaker")
    assert speakers == ["speaker-fabric", "speaker-pa", "speaker-pb"]


def test_every_vm_reaches_every_vm_of_the_other_cloud(lab: Lab) -> None:
    get = "import sys, urllib.request as u\nfor a in sys.argv[1:]: print(u.urlopen(a, None, 3).read().decode())"
    for cloud, far, second in (("a", "b", 2), ("b", "a", 1)):
        addresses = [f"http://10.{second}.{vm}.10/" for vm in (1, 2, 3)]
        for vm in (1, 2, 3):
            asked = lab.popen(f"{cloud}-vm{vm}", [sys.executable, "-c", get, *addresses], stdout=subprocess.PIPE)
            text, _ = asked.communicate(timeout=30)
            assert text.decode().split("\n\n") == [f"{far}-vm{n} in cloud {far} answers" for n in (1, 2, 3)] + [""]


def test_both_gateways_know_the_far_cloud_over_both_providers(lab: Lab) -> None:
    for gateway, prefix in (("ga1", "10.2.0.0/16"), ("gb1", "10.1.0.0/16")):
        (route,) = ip(lab, gateway, "route", "show", prefix)
        nexthops = {nexthop["id"]: nexthop for nexthop in ip(lab, gateway, "nexthop")}
        members = [nexthops[member["id"]]["dev"] for member in nexthops[route["nhid"]]["group"]]
        assert sorted(members) == ["gw-pa", "gw-pb"]


def test_the_agents_sockets_are_reached_from_outside(lab: Lab) -> None:
    done = netctl("status", "--runtime-dir", str(lab.agent_socket("ga1").parent), "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["gateways"][0]["gateway"] == "ga1"


def test_a_links_both_ends_are_named_for_each_provider(lab: Lab) -> None:
    assert {(end.node, end.interface) for end in lab.link_ends("pa")} == {
        ("ga1", "gw-pa"),
        ("pa", "to-ga1"),
        ("gb1", "gw-pa"),
        ("pa", "to-gb1"),
    }


def test_what_frr_leaves_behind_when_it_is_killed_is_inside_the_lab(lab: Lab) -> None:
    (bgpd,) = [p for p in lab.processes() if p.role == "bgpd"]
    inside, outside = Path(f"/proc/{bgpd.pid}/root/var/tmp/frr"), Path("/var/tmp/frr")
    assert any(inside.glob("bgpd.*"))
    assert not outside.exists() or not inside.samefile(outside)


def test_up_again_says_that_it_is_up(lab: Lab) -> None:
    again = netctl("lab", "up", "--name", lab.name, "--only", "routing")
    assert (again.returncode, "is up already" in again.stderr) == (0, True)


@pytest.mark.parametrize("seed", range(4))
def test_a_whole_lab_killed_while_it_comes_up_leaves_nothing(seed: int) -> None:
    name = f"e{uuid.uuid4().hex[:8]}"
    env = {**os.environ, "NETCTL_TEST_MARK": name}
    process = subprocess.Popen(
        [*NETCTL, "lab", "up", "--name", name, "--only", "routing"], env=env, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(random.Random(seed).uniform(0.5, 5.0))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert netctl("lab", "down", "--name", name).returncode == 0
    assert not paths.state_dir(name).exists()
    marked = [p for p in Path("/proc").glob("[0-9]*/environ") if f"={name}".encode() in _read(p)]
    assert marked == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
