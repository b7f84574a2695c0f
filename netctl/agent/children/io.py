"""Which of a gateway's programs still run, asked from outside when no agent answers."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from pathlib import Path

from netctl.agent.children import GATEWAY_FILE, Child, children_of, decode_gateway, decode_pid
from netctl.model.gateway import Gateway
from netctl.model.io import RealProcesses
from netctl.model.ports import ProcessId

_UCRED = struct.Struct("3i")  # pid, uid, gid (struct ucred, socket(7))


def written_gateway(runtime_dir: Path) -> Gateway | None:
    """What the last agent was given; None when none has run there, or it may not be read."""
    try:
        return decode_gateway((runtime_dir / GATEWAY_FILE).read_bytes())
    except OSError:
        return None


def still_running(runtime_dir: Path) -> dict[str, int]:
    """Name → pid of every child that runs: by who listens at its socket (also from outside its PID namespace; of a
    speaker that is the relay), or else by its pid files."""
    gateway = written_gateway(runtime_dir)
    if gateway is None:
        return {}
    processes = RealProcesses()
    found = {}
    for child in children_of(gateway):
        pid = _listener(runtime_dir / Path(child.socket).name) or _recorded(child, runtime_dir, processes)
        if pid:
            found[child.name] = pid
    return found


def _listener(path: Path) -> int:
    """The pid of who listens there; 0: nobody, or somebody that this PID namespace does not know."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe, suppress(OSError):
        probe.connect(str(path))
        pid, _, _ = _UCRED.unpack(probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return int(pid)
    return 0


def _recorded(child: Child, runtime_dir: Path, processes: RealProcesses) -> int:
    for name in child.pid_files:
        with suppress(OSError):
            record = decode_pid((runtime_dir / name).read_bytes())
            if record is not None and record.pid and processes.alive(ProcessId(record.pid, record.started)):
                return record.pid
    return 0
