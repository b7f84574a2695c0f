"""The lab's processes as seen from outside: what init started, and what those started in turn."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from netctl.lab.namespaces import started
from netctl.lab.plan import read_records

_PYTHON_ROLES = (
    # What a gateway's agent starts: they are init's grandchildren, or its children once the agent has died.
    (re.compile(r"-m netctl\.speaker\.relay \S+ (?P<peer>\S+)"), "relay"),
    (re.compile(r"-m netctl\.speaker \S+ (?P<peer>\S+)"), "speaker"),
    (re.compile(r"exabgp-(?P<peer>[a-z0-9-]+)\.conf"), "speaker"),
    (re.compile(r"-m netctl\.liveness "), "liveness"),
)


@dataclass(frozen=True, slots=True)
class LabProcess:
    """A process of the lab. ``pid`` is as seen from outside, 0 when it does not run; ``started`` is field 22 of
    /proc/PID/stat. ``role``: agent, speaker, relay, liveness, bird, zebra, bgpd, bfdd, embedded, page, those of
    the names half (kube-apiserver, coredns, controller, …), or other; ``name`` tells those of a role on one node apart
    (``speaker-pa``). ``state``: running, stopped (by SIGSTOP), restarting, waiting (``waits_for`` says for what), held
    (down, by a drill) or done. ``restarts`` counts init's restarts.
    """

    node: str
    name: str
    role: str
    pid: int
    started: int
    state: str
    restarts: int
    waits_for: str = ""


def lab_processes(state_dir: Path, init_pid: int) -> list[LabProcess]:
    """Everything that runs in the lab but its init, and what init is about to start again."""
    try:
        pid_namespace = Path(f"/proc/{init_pid}/ns/pid").stat().st_ino
        nodes = _nodes(init_pid)
    except OSError:
        return []
    seen = {inner: outer for outer, inner in _members(pid_namespace) if outer != init_pid}
    found: list[LabProcess] = []
    for record in read_records(state_dir):
        pid = seen.pop(record.pid, 0) if record.pid else 0
        state = _run_state(pid) if pid else record.state if record.state != "running" else "restarting"
        began = started(f"/proc/{pid}") if pid else None
        began, waits_for = began or 0, record.waits_for
        found.append(LabProcess(record.node, record.name, record.role, pid, began, state, record.restarts, waits_for))
    others = (_describe(pid, nodes) for pid in seen.values())
    return sorted([*found, *(p for p in others if p is not None)], key=lambda p: (p.node, p.role, p.name, p.pid))


def _members(pid_namespace: int) -> list[tuple[int, int]]:
    """(pid outside, pid inside) of every process of a PID namespace."""
    members = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        try:
            if Path(f"/proc/{entry.name}/ns/pid").stat().st_ino != pid_namespace:
                continue
            status = Path(f"/proc/{entry.name}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue  # gone meanwhile, or another user's
        inside = re.search(r"^NSpid:.*?(\d+)$", status, re.MULTILINE)
        if inside:
            members.append((int(entry.name), int(inside[1])))
    return members


def _nodes(init_pid: int) -> dict[int, str]:
    """Inode of a network namespace → node, read from the bind mounts in the lab's own mount namespace."""
    names = {}
    for entry in os.scandir(f"/proc/{init_pid}/root/run/netns"):
        names[entry.stat().st_ino] = entry.name
    return names


def _describe(pid: int, nodes: dict[int, str]) -> LabProcess | None:
    began = started(f"/proc/{pid}")
    try:
        node = nodes.get(Path(f"/proc/{pid}/ns/net").stat().st_ino, "-")
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        program = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    if began is None:
        return None
    state = _run_state(pid)
    for pattern, role in _PYTHON_ROLES:
        match = pattern.search(command)
        if match:
            peer = match.groupdict().get("peer")
            return LabProcess(node, f"{role}-{peer}" if peer else role, role, pid, began, state, 0)
    name = Path(command.split(" ")[0]).name or program
    return LabProcess(node, name, "other", pid, began, state, 0)


def _run_state(pid: int) -> str:
    """``running``, or ``stopped`` by SIGSTOP."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "restarting"
    return "stopped" if stat.rpartition(")")[2].split()[0] in "Tt" else "running"
