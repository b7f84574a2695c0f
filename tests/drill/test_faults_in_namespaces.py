"""Real cuts in a real kernel, and their undo by whoever is left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netctl.drill.folder.io import Lock, open_journals, recover
from netctl.fault.faults import Fault, LinkCut, LinkEnd, ProcessKill
from netctl.fault.journal import Journal, encode
from netctl.model.errors import RefusedError
from netctl.model.io import process_started
from tests.drill.small_net import SmallNet

pytestmark = pytest.mark.root
WaitFor = Callable[..., None]
PA_ENDS = ["ga:gw-pa", "gb:gw-pa", "pa:to-ga", "pa:to-gb"]


class GuardianProcess:
    """A guardian with its journal, as a runner has it."""

    def __init__(self, net: SmallNet, fault: Fault, limit_s: float = 60.0) -> None:
        self.path = net.folder / "test.journal"
        deadline_ns = time.monotonic_ns() + int(limit_s * 1e9)
        self.path.write_bytes(encode(Journal("test", "test", "small", os.getpid(), deadline_ns, 0.0, (fault,))))
        self.process = net.python(
            "-m", "netctl.fault", f"{net.inside}/test.journal", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def hears(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said

    def told(self, word: bytes) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(word + b"\n")
        self.process.stdin.flush()
        return self.hears()

    def pids_outside(self) -> list[int]:
        """The guardian's pids: the parent that entered, and what it started."""
        found = [self.process.pid]
        for pid in found:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
            found += [int(child) for child in children.split()]
        return found

    def killed(self) -> None:
        """So that it can undo nothing any more."""
        for pid in reversed(self.pids_outside()):
            os.kill(pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait(timeout=20)


def test_a_cut_is_verified_and_its_undo_too(small_net: SmallNet) -> None:
    guardian = GuardianProcess(small_net, small_net.cut_of("pa"))
    assert guardian.hears()["event"] == "ready"
    assert small_net.cut_ends() == []
    assert guardian.told(b"inject")["event"] == "injected"
    assert small_net.cut_ends() == PA_ENDS
    assert guardian.told(b"undo")["event"] == "undone"
    assert small_net.cut_ends() == []
    guardian.close()
    assert guardian.process.returncode == 0
    assert open_journals(small_net) == []


@pytest.mark.parametrize("qdisc", ["pfifo limit 77", "tbf rate 100mbit burst 64kb latency 50ms", "bfifo limit 90000"])
def test_the_qdisc_that_was_there_before_is_put_back(small_net: SmallNet, qdisc: str) -> None:
    small_net.call("ga", "tc", "qdisc", "replace", "dev", "gw-pa", "root", "handle", "7:", *qdisc.split())
    before = small_net.call("ga", "tc", "qdisc", "show", "dev", "gw-pa")
    guardian = GuardianProcess(small_net, small_net.cut_of("pa"))
    guardian.hears()
    guardian.told(b"inject")
    assert "blackhole" in small_net.call("ga", "tc", "qdisc", "show", "dev", "gw-pa")
    guardian.told(b"undo")
    guardian.close()
    assert small_net.call("ga", "tc", "qdisc", "show", "dev", "gw-pa") == before


def test_a_qdisc_with_classes_is_refused_and_left_alone(small_net: SmallNet) -> None:
    for words in ("qdisc add dev gw-pa root handle 1: htb", "class add dev gw-pa parent 1: classid 1:1 htb rate 1mbit"):
        small_net.call("ga", "tc", *words.split())
    small_net.call("ga", *["tc", "qdisc", "add", "dev", "gw-pa", "parent", "1:1", "handle", "10:", "pfifo"])
    guardian = GuardianProcess(small_net, small_net.cut_of("pa"))
    said = guardian.hears()
    assert said["event"] == "inject_failed"
    assert "htb has others below it" in said["problems"][0]
    guardian.close()
    shown = small_net.call("ga", "tc", "qdisc", "show", "dev", "gw-pa").splitlines()
    assert [line.split()[1:3] for line in shown] == [["htb", "1:"], ["pfifo", "10:"]]


def test_the_limit_ends_the_fault_without_anybody(small_net: SmallNet) -> None:
    guardian = GuardianProcess(small_net, small_net.cut_of("pa"), limit_s=1.5)
    guardian.hears()
    guardian.told(b"inject")
    said = guardian.hears()
    assert (said["event"], said["cause"]) == ("undone", "limit")
    assert small_net.cut_ends() == []
    guardian.close()


def test_a_signal_makes_the_guardian_undo(small_net: SmallNet) -> None:
    guardian = GuardianProcess(small_net, small_net.cut_of("pa"))
    guardian.hears()
    guardian.told(b"inject")
    os.kill(guardian.pids_outside()[-1], signal.SIGTERM)
    assert guardian.hears()["cause"] == "signalled"
    assert small_net.cut_ends() == []
    guardian.close()


def test_a_cut_whose_interface_went_away_counts_as_undone(small_net: SmallNet) -> None:
    guardian = GuardianProcess(small_net, small_net.cut_of("pa"))
    guardian.hears()
    guardian.told(b"inject")
    small_net.call("ga", "ip", "link", "delete", "gw-pa")
    assert guardian.told(b"undo")["event"] == "undone"
    assert small_net.cut_ends() == []
    guardian.close()


def test_a_cut_of_an_interface_that_is_not_there_changes_nothing(small_net: SmallNet) -> None:
    ends = (*small_net.cut_of("pa").ends, LinkEnd("/run/netns/ga", "gw-nowhere"))
    guardian = GuardianProcess(small_net, LinkCut(ends))
    assert guardian.hears()["event"] == "inject_failed"
    guardian.close()
    assert small_net.cut_ends() == []


def test_a_stopped_process_runs_again_after_the_undo(small_net: SmallNet, wait_for: WaitFor) -> None:
    sleeper = small_net.popen(None, ["sleep", "60"], stdout=subprocess.PIPE)
    children = Path(f"/proc/{sleeper.pid}/task/{sleeper.pid}/children")
    wait_for(lambda: "sleep" in small_net.call(None, "ps", "-eo", "comm"))
    inside = int(next(x for x in small_net.call(None, "ps", "-eo", "pid,comm").splitlines() if "sleep" in x).split()[0])
    outside = [int(pid) for pid in children.read_text(encoding="ascii").split()] or [sleeper.pid]
    started = process_started(outside[-1])
    assert started is not None
    guardian = GuardianProcess(small_net, ProcessKill("sleeper", inside, started, "STOP"))
    guardian.hears()
    assert guardian.told(b"inject")["event"] == "injected"
    assert state_of(outside[-1]) == "T"
    guardian.killed()
    assert recover(small_net) != []
    assert state_of(outside[-1]) != "T"
    os.kill(outside[-1], signal.SIGKILL)
    sleeper.send_signal(signal.SIGCONT)  # nsenter stops itself with its child
    sleeper.communicate()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


def test_a_process_that_is_another_by_now_is_not_signalled(small_net: SmallNet) -> None:
    guardian = GuardianProcess(small_net, ProcessKill("init", 1, 12345, "KILL"))
    guardian.hears()
    assert guardian.told(b"inject")["event"] == "inject_failed"
    guardian.close()
    assert small_net.call("a", "true") == ""


def test_recover_undoes_when_runner_and_guardian_are_dead(small_net: SmallNet) -> None:
    guardian = GuardianProcess(small_net, small_net.cut_of("pa"))
    guardian.hears()
    guardian.told(b"inject")
    guardian.killed()
    assert small_net.cut_ends() == PA_ENDS
    assert any("took back: cut ga:gw-pa" in what for what in recover(small_net))
    assert small_net.cut_ends() == []
    assert recover(small_net) == []


@pytest.mark.parametrize("damaged", [False, True])
def test_recover_undoes_in_place_of_a_guardian_that_is_stopped(small_net: SmallNet, damaged: bool) -> None:
    guardian = GuardianProcess(small_net, small_net.cut_of("pa"))
    guardian.hears()
    guardian.told(b"inject")
    _, *inside = guardian.pids_outside()
    os.kill(inside[-1], signal.SIGSTOP)
    assert guardian.process.stdin is not None
    guardian.process.stdin.close()  # as its runner's death does
    if damaged:
        guardian.path.write_bytes(b"")
    began = time.monotonic()
    assert recover(small_net) != []
    assert time.monotonic() - began < 10
    assert small_net.cut_ends() == []
    assert open_journals(small_net) == []
    assert not Path(f"/proc/{inside[-1]}/fd/0").exists()
    os.kill(guardian.process.pid, signal.SIGCONT)  # nsenter stops itself with its child
    guardian.close()


@pytest.mark.parametrize("content", [b"", b"deadbeef\n{}\n", b"\xff\xfe\x00"])
def test_recover_takes_back_what_bears_our_mark_when_the_journal_is_damaged(
    small_net: SmallNet, content: bytes
) -> None:
    guardian = GuardianProcess(small_net, small_net.cut_of("pa"))
    guardian.hears()
    guardian.told(b"inject")
    guardian.killed()
    small_net.call("gb", *["tc", "qdisc", "add", "dev", "gw-pb", "root", "blackhole"])  # not ours
    guardian.path.write_bytes(content)
    recover(small_net)
    assert small_net.cut_ends() == ["gb:gw-pb"]
    assert open_journals(small_net) == []


def test_recover_refuses_while_a_drill_runs(small_net: SmallNet) -> None:
    lock = Lock(small_net.folder, "provider-cut some-id")
    with pytest.raises(RefusedError, match=f"provider-cut some-id .pid {os.getpid()}"):
        recover(small_net)
    lock.close()
    assert recover(small_net) == []


@pytest.mark.parametrize("seed", range(6))
def test_after_kill_9_of_the_runner_at_any_moment_no_fault_is_left(
    small_net: SmallNet, wait_for: WaitFor, seed: int
) -> None:
    runner = small_net.runner(duration_s=20.0)
    moment_s = random.Random(seed).uniform(0.0, 1.0)
    assert runner.stderr is not None
    if seed % 2:  # after the cut; else from its start on
        while not runner.stderr.readline().startswith(b"cut"):
            assert runner.poll() is None
        moment_s /= 10
    else:
        moment_s = 0.2 + moment_s * 1.5
    with pytest.raises(subprocess.TimeoutExpired):
        runner.wait(timeout=moment_s)
    runner.kill()
    runner.wait()
    runner.stderr.close()
    wait_for(lambda: not any(small_net.cut_ends()))
    recover(small_net)
    assert small_net.cut_ends() == []
    assert open_journals(small_net) == []
