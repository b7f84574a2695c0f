"""A lab of two VMs on one cable, so that each test takes a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netctl.lab import paths

CABLE = """\
version: 1
bfd: {interval_ms: 50, multiplier: 3}
clouds:
  - {name: a, prefix: 10.1.0.0/16}
  - {name: b, prefix: 10.2.0.0/16}
nodes:
  - {name: a-vm1, role: vm, cloud: a}
  - {name: b-vm1, role: vm, cloud: b}
links:
  - [a-vm1 eth0 10.1.1.1/30, b-vm1 eth0 10.1.1.2/30]
"""
PODS = """\
  - {name: a-pod1, role: pod, cloud: a}
  - {name: b-pod1, role: pod, cloud: b}
links:
  - [a-pod1 eth0 10.1.7.1/30, b-pod1 eth0 10.1.7.2/30]
"""
"""Instead of the line ``links:``: a names half of two more pages."""
PROGRAM = "/bin/true"
OWN_PARTS = {
    "NETCTL_COREDNS": PROGRAM,
    "NETCTL_KUBE_APISERVER": PROGRAM,
    "NETCTL_KUBE_CONTROLLER_MANAGER": PROGRAM,
}
"""What the two pods do not need is not missed."""
NETCTL = [sys.executable, "-m", "netctl.cli.main"]


class Bench:
    """A lab of its own name, whose processes can be told by a mark in their environment."""

    def __init__(self, folder: Path) -> None:
        self.name = f"t{uuid.uuid4().hex[:8]}"
        self.mark = f"NETCTL_TEST_MARK={self.name}"
        self.topology = folder / "cable.yaml"
        self.topology.write_text(CABLE, encoding="utf-8")
        self.state_dir = paths.state_dir(self.name)
        self.env = {**os.environ, "NETCTL_TEST_MARK": self.name}

    def another(self, folder: Path) -> Bench:
        """A second one, beside this; the caller takes it down."""
        folder.mkdir()
        return Bench(folder)

    def edit_topology(self, old: str, new: str) -> None:
        self.topology.write_text(self.topology.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    @staticmethod
    def wait_for(condition: Callable[[], bool], within_s: float = 10.0) -> bool:
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.02)
        return False

    def add_pods(self) -> None:
        self.edit_topology("links:\n", PODS)
        self.env |= OWN_PARTS

    def up_command(self, *words: str) -> list[str]:
        command = [*NETCTL, "lab", "up", "--name", self.name, "--topology", str(self.topology), "--timeout", "20"]
        return [*command, *words]

    def up(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = self.up_command(*words)
        return subprocess.run(command, env=self.env, capture_output=True, text=True, check=False, timeout=60)

    def command(self, *words: str) -> list[str]:
        return [*NETCTL, "lab", words[0], "--name", self.name, *words[1:]]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words), capture_output=True, text=True, check=False, timeout=60)

    def list(self) -> dict[str, str]:
        """Name → state of every lab."""
        command = [*NETCTL, "lab", "list", "-o", "json"]
        rows = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
        return {row["name"]: row["state"] for row in rows}

    def processes(self) -> dict[int, str]:
        """Every process that carries the mark, by pid."""
        found = {}
        for entry in os.scandir("/proc"):
            if entry.name.isdecimal():
                try:
                    environment = Path(entry.path, "environ").read_bytes()
                    if self.mark.encode() in environment.split(b"\0"):
                        found[int(entry.name)] = Path(entry.path, "cmdline").read_bytes().replace(b"\0", b" ").decode()
                except OSError:
                    continue
        return found

    def assert_nothing_left(self) -> None:
        assert self.processes() == {}
        assert not self.state_dir.exists()
        assert self.name not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.run("down")
    made.assert_nothing_left()
