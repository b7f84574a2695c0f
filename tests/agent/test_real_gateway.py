"""A real agent with real speakers, liveness, BIRD and kernel, in namespaces that end with the test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.root

NAMESPACES = ("unshare", "--net", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child=KILL")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _parts() -> None:
    assert shutil.which("unshare"), "util-linux's unshare is needed"
    assert Path("/usr/sbin/bird").exists(), "BIRD is needed: apt-get install bird2"


def play(scenario: str, folder: Path, prefixes: int = 5) -> dict[str, Any]:
    """Run one scenario of ``real_gateway`` as the init of a PID namespace: nothing of it can outlive it."""
    short = Path("/tmp") / f"nt{os.getpid()}"  # a unix socket's path is short
    short.symlink_to(folder)
    try:
        done = subprocess.run(
            [*NAMESPACES, sys.executable, "-m", "tests.agent.real_gateway", scenario, str(short), str(prefixes)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
    finally:
        short.unlink()
    logs = "\n".join(p.read_text(errors="replace")[-3000:] for p in [*folder.glob("*.log"), *folder.glob("run/log/*")])
    assert done.returncode == 0, f"{done.stderr}\n{logs}"
    return dict(json.loads(done.stdout.splitlines()[-1]))


def groups(kernel: dict[str, Any]) -> list[dict[str, Any]]:
    return [nexthop for nexthop in kernel["nexthops"] if "group" in nexthop]


def test_an_agent_killed_and_started_again_finds_everything_and_writes_nothing(tmp_path: Path) -> None:
    seen = play("restart", tmp_path)
    (group,) = groups(seen["before"])
    assert len(seen["before"]["routes"]) == 5
    assert len(group["group"]) == 2
    assert {route["nhid"] for route in seen["before"]["routes"]} == {group["id"]}
    assert seen["operations_first"] != {}
    assert seen["same_while_dead"]
    assert seen["same_after"]
    assert seen["operations_again"] == {}
    assert seen["pids_first"] == seen["pids_again"]
    assert seen["still_announced"]


def test_sigterm_leaves_everything_running_and_stop_ends_everything(tmp_path: Path) -> None:
    seen = play("stop", tmp_path)
    assert (seen["term_code"], seen["routes_kept"]) == (0, 5)
    assert seen["stop_code"] == 0
    assert seen["stop"]["ended"] == {"speaker-pa": True, "speaker-pb": True, "liveness": True}
    assert seen["agent_code"] == 0
    assert seen["kernel"] == {"routes": [], "nexthops": []}
    assert seen["complaints"] == []


def test_a_killed_speaker_is_started_again_and_costs_no_write(tmp_path: Path) -> None:
    seen = play("speaker_kill", tmp_path)
    # BIRD ends BFD with its BGP session, so the member itself may be away meanwhile: that costs no route.
    assert seen["during"]["routes"] == seen["before"]["routes"]
    assert groups(seen["during"]) == groups(seen["before"])
    assert seen["same_after"]
    assert seen["operations_again"] == seen["operations_first"]
    assert seen["other_speaker_same"]


def test_a_relay_that_is_stopped_is_shown_then_replaced_with_its_exabgp_and_costs_no_route(tmp_path: Path) -> None:
    seen = play("stopped_relay", tmp_path)
    assert seen["shown"].startswith("silent for ")
    assert 3 < seen["shown_s"] < 15 < seen["replaced_s"] < 40  # the last word was up to 1 s before
    assert seen["kept"] == [True, True]
    assert seen["ended"] == [True, True]
    assert seen["other_speaker_same"]
    assert seen["programs"] == {"liveness": 1, "exabgp-pa": 1, "exabgp-pb": 1, "relay": 2}


def test_a_second_agent_is_refused_in_one_line_with_exit_code_3(tmp_path: Path) -> None:
    seen = play("second_agent", tmp_path)
    assert seen["code"] == 3
    assert "runs in" in seen["stderr"]
    assert "Traceback" not in seen["stderr"]
    assert len(seen["stderr"].strip().splitlines()) == 2


def test_an_agent_killed_at_any_moment_leaves_one_of_each_program(tmp_path: Path) -> None:
    seen = play("kills", tmp_path)
    assert seen["programs"] == {"liveness": 1, "exabgp-pa": 1, "exabgp-pb": 1, "relay": 2}
    assert len(seen["routes"]) == 5


def test_a_change_of_one_peer_restarts_only_that_peers_speaker(tmp_path: Path) -> None:
    assert play("changed", tmp_path) == {"changed": ["speaker-pb"]}


def test_a_taken_bfd_port_ends_the_agent_with_one_line_that_names_it_before_it_announces_anything(
    tmp_path: Path,
) -> None:
    seen = play("taken_port", tmp_path)
    assert seen["code"] == 3
    assert len(seen["said"]) == 2
    assert ":3784 is taken by another program" in seen["said"][0]
    assert set(seen["programs"].values()) == {0}


def test_metrics_are_served_over_http_in_prometheus_text(tmp_path: Path) -> None:
    seen = play("metrics", tmp_path)
    assert seen["type"].startswith("text/plain; version=0.0.4")
    for line in (
        'netctl_bgp_session_up{gateway="ga1",peer="pa"} 1.0',
        'netctl_bfd_session_up{gateway="ga1",peer="pb"} 1.0',
        'netctl_routes{gateway="ga1"} 5.0',
        'netctl_fib_operations_total{gateway="ga1",op="put_route"}',
    ):
        assert line in seen["text"]


def test_routes_come_back_after_all_links_lost_their_carrier(tmp_path: Path) -> None:
    seen = play("flap", tmp_path)
    assert len(seen["after"]["routes"]) == 5
    assert [len(group["group"]) for group in groups(seen["after"])] == [2]


def test_stop_names_an_agent_that_cannot_answer_and_works_without_one(tmp_path: Path) -> None:
    seen = play("stopped_agent", tmp_path)
    assert seen["codes"] == [3, 0]
    assert "lives" in seen["said"]
    assert len(seen["routes"]) == 5


def test_garbage_at_the_agents_socket_is_counted_and_changes_nothing(tmp_path: Path) -> None:
    seen = play("garbage", tmp_path)
    assert seen["unchanged"]
    assert sum(seen["refused"].values()) == 4
    assert {d["what"]: d["times"] for d in seen["shown"]} == {
        f"socket_refused{{reason={reason}}}": number for reason, number in seen["refused"].items()
    }
    assert 'netctl_socket_refused_total{gateway="ga1",reason="frame_too_long"}' in seen["metrics"]
    assert seen["unknown"] == "the agent does not know 'dance'"


def test_deleted_routes_and_groups_come_back(tmp_path: Path) -> None:
    seen = play("drift", tmp_path)
    assert seen == {"routes": 5, "steady": True}
