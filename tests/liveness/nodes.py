"""Nodes in network namespaces of their own, gone with the process that made them.

Everything runs in one PID namespace whose first process waits for the end of a pipe that this process holds: whatever
ends this process, kill -9 included, ends the pipe, that first process and with it everything else.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

READY_S = 20.0


def await_true(condition: Callable[[], bool], what: str, within_s: float = READY_S) -> float:
    """Wait for a condition by looking; how long it took, in seconds."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < within_s, f"not within {within_s} s: {what}"
        time.sleep(0.002)
    return time.monotonic() - start


class NodeSet:
    """Nodes by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: list[subprocess.Popen[bytes]] = []
        wait = ["sh", "-c", "echo; read end"]
        self._holders = [
            _holder(["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "--", *wait])
        ]
        self._init = only_child(self._holders[0].pid)
        self._nodes: dict[str, int] = {}

    def add(self, name: str) -> None:
        inside = ["unshare", "--net", "sh", "-c", "ip link set lo up; echo; read end"]
        holder = _holder(["nsenter", "-t", str(self._init), "--pid", "--mount", "--", *inside])
        self._holders.append(holder)
        self._nodes[name] = only_child(holder.pid)

    def link(self, left: tuple[str, str, str], right: tuple[str, str, str]) -> None:
        """Join two (node, interface, address/length)."""
        (a, a_if, _), (b, b_if, _) = left, right
        pids = self._nodes[a], self._nodes[b]
        veth = f"ip link add {a_if} type veth peer name {b_if} netns /proc/{pids[1]}/ns/net"
        self.host(["nsenter", f"--net=/proc/{pids[0]}/ns/net", *veth.split()])
        for node, interface, address in (left, right):
            self.run(node, f"ip address add {address} dev {interface}")
            self.run(node, f"ip link set {interface} up")

    def host(self, argv: list[str]) -> str:
        return subprocess.run(argv, check=True, capture_output=True, timeout=READY_S, text=True).stdout

    def entered(self, node: str) -> list[str]:
        return ["nsenter", "-t", str(self._init), "--pid", "--mount", f"--net=/proc/{self._nodes[node]}/ns/net", "--"]

    def run(self, node: str, command: str) -> str:
        return self.host([*self.entered(node), *command.split()])

    def start(self, node: str, argv: list[str]) -> int:
        """Start a program; its pid here. What it prints goes to a file of the folder named after it."""
        log = self.folder / f"{node}-{Path(argv[0]).name}-{len(self.programs)}.log"
        with log.open("wb") as out:
            program = subprocess.Popen([*self.entered(node), *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.programs.append(program)
        return only_child(program.pid)

    def logs(self) -> str:
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob("*.log")))

    def cut(self, *ends: tuple[str, str]) -> None:
        """Drop silently everything that these ends send."""
        for node, interface in ends:
            self.run(node, f"tc qdisc replace dev {interface} root blackhole")

    def mend(self, *ends: tuple[str, str]) -> None:
        for node, interface in ends:
            self.run(node, f"tc qdisc del dev {interface} root")

    def close(self) -> None:
        for program in self.programs:
            if program.poll() is None:
                program.send_signal(signal.SIGCONT)  # nsenter stops with the child that it waits for
        for holder in self._holders:
            assert holder.stdin is not None
            holder.stdin.close()
        for process in (*self._holders, *self.programs):
            process.wait(READY_S)


def _holder(argv: list[str]) -> subprocess.Popen[bytes]:
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"\n", f"cannot start {argv}"
    return holder


def only_child(pid: int) -> int:
    """The one child of a process that forks once (unshare, nsenter)."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    await_true(lambda: bool(children.read_text().split()), f"a child of {pid}")
    return int(children.read_text().split()[0])
