"""Whole drills on the small network, whose routers never fail over: an outage lasts as long as the cut."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from netctl.drill.catalogue import find
from netctl.drill.experiments import Options
from netctl.drill.folder.io import load_results, open_journals
from netctl.drill.results import DrillResult
from netctl.drill.shell import Runner
from tests.drill.small_net import ROOT, SmallNet

pytestmark = pytest.mark.root


def drill(net: SmallNet, duration_s: float, limit_s: float = 60.0, provider: str = "pa") -> DrillResult:
    options = Options(provider=provider, duration_s=duration_s)
    return asyncio.run(Runner(net, find("provider-cut"), options, limit_s, lambda _: None).run())


def test_the_outage_measured_is_the_cut_that_was_made_on_exactly_the_flows_it_hit(small_net: SmallNet) -> None:
    result = drill(small_net, 0.5)
    assert (result.verdict, result.exit_code) == ("missed", 1)
    for flow in result.flows:
        if flow.via == "pa":
            assert 495 <= flow.outage_ms <= 560
            assert flow.loss_ms <= flow.outage_ms + 5  # less when the sender was late meanwhile
            assert flow.verdict == "missed"
        else:
            assert (flow.lost, flow.outage_ms, flow.verdict) == (0, 0.0, "passed")
    assert {(flow.direction, flow.via) for flow in result.flows} == {
        (direction, via) for direction in ("a_to_b", "b_to_a") for via in ("pa", "pb")
    }
    assert small_net.cut_ends() == []
    assert load_results(small_net.folder) == [result]


def test_a_cut_shorter_than_the_objective_passes(small_net: SmallNet) -> None:
    result = drill(small_net, 0.1, provider="pb")
    assert (result.verdict, result.exit_code) == ("passed", 0), result.reason
    assert 95 <= max(result.worst_ms.values()) <= 160


def test_a_lab_that_is_not_steady_is_refused_and_left_alone(
    small_net: SmallNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netctl.drill.acts.shell.STEADY_WITHIN_S", 0.1)
    small_net.missing.append("ga: BGP to pa is down")
    result = drill(small_net, 0.1)
    assert (result.verdict, result.exit_code) == ("refused", 3)
    assert "BGP to pa is down" in result.reason
    assert open_journals(small_net) == []


def test_a_network_that_loses_packets_before_the_fault_is_refused(
    small_net: SmallNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netctl.drill.acts.shell.CLEAN_WITHIN_S", 1.5)
    small_net.call("pb", *["tc", "qdisc", "add", "dev", "to-gb", "root", "blackhole"])
    result = drill(small_net, 0.1)
    assert (result.verdict, result.exit_code) == ("refused", 3)
    assert "lose packets without any fault" in result.reason


def test_a_member_without_flows_is_inconclusive(small_net: SmallNet) -> None:
    small_net.call("ga", *["ip", "route", "replace", "10.2.0.0/16", "via", "10.0.1.2"])
    result = drill(small_net, 0.1)
    assert (result.verdict, result.exit_code) == ("inconclusive", 6)
    assert "sends 0 by pb" in result.reason


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_drill_is_aborted_and_restored(small_net: SmallNet, number: signal.Signals) -> None:
    runner = small_net.runner(duration_s=20.0)
    until(runner, b"cut")
    runner.send_signal(number)
    _, complaint = runner.communicate(timeout=20)
    assert runner.returncode == 4, complaint
    assert f"interrupted by {number.name}; the fault was taken back: cut ga:gw-pa".encode() in complaint
    assert small_net.cut_ends() == []
    assert open_journals(small_net) == []


def test_a_drill_that_is_interrupted_before_its_fault_says_that_nothing_was_done(small_net: SmallNet) -> None:
    runner = small_net.runner(duration_s=20.0)
    until(runner, b"32 flows")
    runner.send_signal(signal.SIGINT)
    _, complaint = runner.communicate(timeout=20)
    assert runner.returncode == 4, complaint
    assert b"interrupted by SIGINT; nothing had been done yet" in complaint


@pytest.mark.parametrize(
    ("word", "said"),
    [(b"32 flows", "the lab was taken down; nothing had"), (b"cut", "the lab was taken down, and the fault with it")],
)
def test_a_lab_that_goes_away_aborts_the_drill_and_takes_the_fault_along(
    small_net: SmallNet, word: bytes, said: str
) -> None:
    runner = small_net.runner(duration_s=20.0)
    until(runner, word)
    os.kill(small_net.init_pid, signal.SIGKILL)
    _, complaint = runner.communicate(timeout=30)
    assert runner.returncode == 4, complaint
    assert said in complaint.decode()


def test_a_limit_shorter_than_the_fault_ends_it_and_the_drill(small_net: SmallNet) -> None:
    result = drill(small_net, 20.0, limit_s=2.0)
    assert (result.verdict, result.exit_code) == ("aborted", 4)
    assert "limit" in result.reason
    assert small_net.cut_ends() == []


def test_a_guardian_that_is_killed_is_replaced_for_the_undo(small_net: SmallNet) -> None:
    runner = small_net.runner(duration_s=20.0)
    until(runner, b"cut")
    kill_guardian(small_net)
    _, complaint = runner.communicate(timeout=20)
    assert runner.returncode == 4, complaint
    assert b"the guardian died" in complaint
    assert small_net.cut_ends() == []


def test_a_guardian_that_is_stopped_is_replaced_for_the_undo(small_net: SmallNet) -> None:
    runner = small_net.runner(duration_s=20.0)
    until(runner, b"cut")
    kill_guardian(small_net, "-STOP")
    runner.send_signal(signal.SIGINT)
    _, complaint = runner.communicate(timeout=30)
    assert runner.returncode == 4, complaint
    assert small_net.cut_ends() == []
    assert open_journals(small_net) == []


FULL_DISK = """
import asyncio, sys
from contextlib import suppress
from pathlib import Path
from netctl.drill.acts import shell
from netctl.drill.catalogue import find
from netctl.drill.experiments import Options
from netctl.drill.folder.io import open_journals
from netctl.drill.shell import Runner
from tests.drill.small_net import HASTE, SmallNet

vars(shell).update(HASTE)
net = SmallNet(Path(sys.argv[1]))

def say(text):
    print(text, file=sys.stderr, flush=True)
    if text.startswith("cut"):
        with suppress(OSError), (net.folder / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))

result = asyncio.run(Runner(net, find("provider-cut"), Options(provider="pa", duration_s=0.5), 60.0, say).run())
kept = sorted(path.name for path in net.folder.glob("*.json"))
print(result.verdict, result.exit_code, max(result.worst_ms.values()), net.cut_ends(), open_journals(net), kept)
net.close()
"""


def test_a_disk_that_is_full_when_the_drill_ends_costs_the_file_but_not_the_verdict(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    inside = ["unshare", "--mount", "sh", "-c", mount, str(tmp_path), sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(
        inside, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    verdict, code, worst, left = done.stdout.split(maxsplit=3)
    assert (verdict, code, left.strip()) == ("missed", "1", "[] [] []"), done.stderr
    assert 495 <= float(worst) <= 560
    assert "the result is not kept: cannot write" in done.stderr
    assert "No space left" in done.stderr


def test_a_second_drill_in_the_same_lab_is_refused_naming_the_first(small_net: SmallNet) -> None:
    runner = small_net.runner(duration_s=20.0)
    until(runner, b"32 flows")
    result = drill(small_net, 0.1)
    assert result.exit_code == 3
    assert f"pid {runner.pid}" in result.reason
    assert "provider-cut" in result.reason
    runner.send_signal(signal.SIGINT)
    runner.communicate(timeout=20)


def test_what_a_dead_drill_left_is_taken_back_before_the_next_one(
    small_net: SmallNet, wait_for: Callable[..., None]
) -> None:
    runner = small_net.runner(duration_s=20.0)
    wait_for(small_net.cut_ends)
    runner.send_signal(signal.SIGSTOP)
    kill_guardian(small_net)
    runner.kill()
    runner.communicate()
    assert small_net.cut_ends() != []
    result = drill(small_net, 0.1)
    assert result.verdict == "passed", result.reason
    assert any("took back: cut" in note for note in result.notes)


def kill_guardian(net: SmallNet, number: str = "-9") -> None:
    for line in net.call(None, "ps", "-eo", "pid,args").splitlines():
        if "netctl.fault" in line:
            net.call(None, "kill", number, line.split()[0])


def until(runner: subprocess.Popen[bytes], word: bytes) -> None:
    assert runner.stderr is not None
    os.set_blocking(runner.stderr.fileno(), True)
    while line := runner.stderr.readline():
        if line.startswith(word):
            return
    pytest.fail("the runner ended early")
