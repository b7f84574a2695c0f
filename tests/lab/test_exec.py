"""``lab exec`` and ``Lab.popen``: a program inside, seen and driven from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netctl.lab import Lab
from netctl.model.errors import EnvironmentLackError, UsageError

if TYPE_CHECKING:
    from tests.lab.conftest import Bench


@pytest.fixture
def lab(bench: Bench) -> Lab:
    done = bench.up()
    assert done.returncode == 0, done.stderr
    return Lab.open(bench.name)


def output(lab: Lab, node: str | None, *argv: str) -> str:
    process = lab.popen(node, argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    text, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    return text.decode()


def test_a_command_runs_in_the_nodes_network_and_the_labs_processes(lab: Lab) -> None:
    assert "10.1.1.2" in output(lab, "b-vm1", "cat", "/proc/net/fib_trie")
    assert "10.1.1." not in output(lab, None, "cat", "/proc/net/fib_trie")
    assert output(lab, "b-vm1", "cat", "/proc/1/cmdline").split("\0")[2] == "netctl.lab.init"
    assert output(lab, None, "ls", "/run/netns").split() == ["a-vm1", "b-vm1"]


def test_a_node_has_its_own_name_and_knows_all_others(lab: Lab) -> None:
    machine = socket.gethostname()
    assert output(lab, "b-vm1", "hostname") == "b-vm1\n"
    assert output(lab, None, "hostname").strip() == socket.gethostname() == machine
    assert output(lab, "a-vm1", "getent", "hosts", "b-vm1").split() == ["10.1.1.2", "b-vm1"]
    asked = lab.popen("a-vm1", ["getent", "hosts", "nowhere.example"], stdout=subprocess.DEVNULL)
    assert asked.wait(2) == 2  # at once: the machine's resolver would be waited for


def test_a_persons_proxy_is_not_asked_from_inside(lab: Lab) -> None:
    env = {**os.environ, "http_proxy": "http://192.0.2.1:3128", "PATH": "/usr/bin:/bin"}
    process = lab.popen("a-vm1", ["sh", "-c", 'echo "$PATH-$http_proxy"'], stdout=subprocess.PIPE, env=env)
    assert process.communicate(timeout=20)[0] == b"/usr/bin:/bin:/usr/sbin:/sbin-\n"


def test_exec_passes_on_words_input_output_and_exit_code(bench: Bench, lab: Lab) -> None:
    done = bench.run("exec", "a-vm1", "--", "sh", "-c", 'echo "$1"; exit 7', "x", "two words --name")
    assert (done.stdout, done.returncode) == ("two words --name\n", 7)
    command = lab.command("a-vm1", ["cat"])
    assert subprocess.run(command, input=b"in and out", capture_output=True, check=True).stdout == b"in and out"


def test_signals_reach_the_program_and_its_end_by_one_is_told(lab: Lab) -> None:
    process = lab.popen(
        "a-vm1", ["sh", "-c", 'trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done'], stdout=-1
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    assert process.wait(10) == 9
    assert lab.popen("a-vm1", ["sh", "-c", "kill -9 $$"]).wait(10) == 128 + signal.SIGKILL


def test_a_program_ends_with_the_process_that_watches_it(bench: Bench, lab: Lab) -> None:
    process = lab.popen("a-vm1", ["sleep", "600.25"])

    def inside() -> list[int]:
        return [p.pid for p in lab.processes() if p.name == "sleep"]

    assert bench.wait_for(lambda: len(inside()) == 1)
    process.kill()
    process.wait(10)
    assert bench.wait_for(lambda: inside() == [])


def test_processes_are_told_by_pids_that_are_right_outside(bench: Bench, lab: Lab) -> None:
    process = lab.popen("b-vm1", ["sleep", "600.5"])
    assert bench.wait_for(lambda: any(p.name == "sleep" for p in lab.processes()))
    (found,) = [p for p in lab.processes() if p.name == "sleep"]
    assert found.node == "b-vm1"
    assert Path(f"/proc/{found.pid}/cmdline").read_bytes() == b"sleep\x00600.5\x00"
    os.kill(found.pid, signal.SIGSTOP)
    assert bench.wait_for(lambda: [p.state for p in lab.processes() if p.pid == found.pid] == ["stopped"])
    os.kill(found.pid, signal.SIGKILL)
    assert process.wait(10) == 128 + signal.SIGKILL


def test_a_working_directory_that_was_removed_or_is_not_in_the_lab_is_replaced(lab: Lab, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$0" && exec "$@"'
    command = ["sh", "-c", script, str(gone), *lab.command("a-vm1", ["pwd"])]
    done = subprocess.run(command, cwd=gone, capture_output=True, check=False)
    assert (done.stdout, done.returncode) == (b"/\n", 0), done.stderr


def test_a_stopped_program_is_shown_stopped(bench: Bench, lab: Lab) -> None:
    page = lab.processes()[0]
    os.kill(page.pid, signal.SIGSTOP)
    assert bench.wait_for(lambda: [p.state for p in lab.processes() if p.pid == page.pid] == ["stopped"])
    os.kill(page.pid, signal.SIGCONT)
    assert bench.wait_for(lambda: [p.state for p in lab.processes() if p.pid == page.pid] == ["running"])


def test_an_unknown_node_is_named_with_those_that_exist(bench: Bench, lab: Lab) -> None:
    with pytest.raises(UsageError) as caught:
        lab.popen("c-vm1", ["true"])
    assert "a-vm1, b-vm1" in caught.value.hint
    done = bench.run("exec", "c-vm1", "--", "true")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def test_a_command_that_does_not_exist_is_one_line(bench: Bench, lab: Lab) -> None:
    done = bench.run("exec", "a-vm1", "--", "no-such-command")
    assert (done.returncode, done.stderr) == (127, "netctl: cannot run no-such-command: No such file or directory\n")


def test_without_a_lab_every_verb_says_how_to_get_one(bench: Bench) -> None:
    for words in (("status",), ("exec", "a-vm1", "--", "true"), ("logs", "a-vm1")):
        done = bench.run(*words)
        assert done.returncode == 3
        assert f"netctl lab up --name {bench.name}" in done.stderr
    with pytest.raises(EnvironmentLackError):
        Lab.open(bench.name)


def test_logs_show_what_a_node_has_logged(bench: Bench, lab: Lab) -> None:
    output(lab, "a-vm1", "true")
    done = bench.run("logs", "b-vm1")
    assert done.returncode == 0
    assert '"GET / HTTP/1.1" 200' in done.stdout  # up asked for the page
