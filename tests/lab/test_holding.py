"""Programs that a drill holds down, and machines that know their name server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from netctl.fault.journal import Journal, encode
from netctl.lab import Lab, LabProcess, namespaces
from netctl.lab.overdue import stale_holds
from netctl.lab.paths import held_file

if TYPE_CHECKING:
    from tests.lab.conftest import Bench

SERVERS = """\
  - {name: a-dns, role: dns, cloud: a}
  - {name: b-dns, role: dns, cloud: b}
links:
  - [a-dns eth0 10.1.5.1/24, b-dns eth0 10.1.5.53/24]
"""
FOR_EVER_NS = 1 << 62
JOURNAL = Journal("vm-death-1", "vm-death", "x", 1, FOR_EVER_NS, 0.0, faults=())
CLOSED = msgspec.structs.replace(JOURNAL, open=False, closed_by="undo")


@pytest.fixture
def lab(bench: Bench) -> Lab:
    bench.edit_topology("links:\n", SERVERS)
    done = bench.up("--only", "routing")
    assert done.returncode == 0, done.stderr
    return Lab.open(bench.name)


def page(lab: Lab) -> LabProcess:
    (found,) = [p for p in lab.processes() if p.node == "b-vm1" and p.role == "page"]
    return found


def hold(lab: Lab, owner: str) -> Path:
    path = held_file(lab.state_dir / "run", "b-vm1", "page")
    path.parent.mkdir(parents=True)
    path.write_text(owner, encoding="utf-8")
    return path


def test_a_program_that_is_held_stays_down_is_shown_so_and_starts_at_once_when_released(bench: Bench, lab: Lab) -> None:
    before = page(lab)
    held = hold(lab, "vm-death-1")
    os.kill(before.pid, signal.SIGKILL)
    assert bench.wait_for(lambda: page(lab).state == "held")
    assert not bench.wait_for(lambda: page(lab).state == "running", 1.0)  # longer than the first pauses
    assert "held" in bench.run("status").stdout
    held.unlink()
    released = time.monotonic()
    assert bench.wait_for(lambda: page(lab).state == "running", 1.0)
    assert time.monotonic() - released < 0.5
    assert page(lab).pid != before.pid


def test_a_hold_whose_drill_is_over_ends_by_itself(bench: Bench, lab: Lab) -> None:
    drills = lab.state_dir / "run" / "drills"
    drills.mkdir()
    journal = drills / "vm-death-1.journal"
    journal.write_bytes(encode(JOURNAL))
    held = hold(lab, "vm-death-1")
    os.kill(page(lab).pid, signal.SIGKILL)
    assert bench.wait_for(lambda: page(lab).state == "held")
    journal.write_bytes(encode(CLOSED))
    assert bench.wait_for(lambda: page(lab).state == "running")
    assert not held.exists()


def test_only_holds_with_a_closed_journal_are_stale(tmp_path: Path) -> None:
    drills = tmp_path / "drills"
    drills.mkdir()
    for node, owner in (("n1", "vm-death-1"), ("n2", "by-hand"), ("n3", "damaged")):
        path = held_file(tmp_path, node, "page")
        path.parent.mkdir(parents=True)
        path.write_text(owner, encoding="utf-8")
    (drills / "damaged.journal").write_bytes(b"{")
    (drills / "vm-death-1.journal").write_bytes(encode(JOURNAL))
    assert stale_holds(tmp_path) == []
    (drills / "vm-death-1.journal").write_bytes(encode(CLOSED))
    assert stale_holds(tmp_path) == [held_file(tmp_path, "n1", "page")]


def output(lab: Lab, node: str | None, *argv: str) -> str:
    process = lab.popen(node, argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    text, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    return text.decode()


def test_a_machine_asks_its_own_clouds_name_server_and_a_server_none(lab: Lab) -> None:
    assert "nameserver 10.1.5.53" in output(lab, "b-vm1", "cat", "/etc/resolv.conf")
    assert "nameserver 10.1.5.1\n" in output(lab, "a-vm1", "cat", "/etc/resolv.conf")
    assert "nameserver 127.0.0.1" in output(lab, "b-dns", "cat", "/etc/resolv.conf")
    assert "nameserver 127.0.0.1" in output(lab, None, "cat", "/etc/resolv.conf")


def test_a_program_that_wants_it_gets_the_machines_name_and_name_server(lab: Lab) -> None:
    command = namespaces.as_node(lab.state_dir, "b-vm1")
    assert command[0] == sys.executable
    said = output(lab, None, *command, "sh", "-c", "hostname; cat /etc/resolv.conf")
    assert said.startswith("b-vm1\n")
    assert "nameserver 10.1.5.53" in said
