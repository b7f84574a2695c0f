"""How a lab ends: its init, and with that everything in it, whoever else is at work on it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from netctl.lab import namespaces, paths
from netctl.lab.removal import remove
from netctl.model.errors import EnvironmentLackError

_WITHIN_S = 30.0
_PAUSE_S = 0.005


def signal_init(state_dir: Path, number: int) -> bool:
    """Send a signal to the lab's init, and to no other process. False: it is gone."""
    init = namespaces.read_init(state_dir)
    if init is None or namespaces.started(f"/proc/{init[0]}") != init[1]:
        return False
    try:
        descriptor = os.pidfd_open(init[0])
    except OSError:
        return False
    try:
        if namespaces.started(f"/proc/{init[0]}") == init[1]:
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def end_and_lock(state_dir: Path) -> int:
    """Kill the lab's init, wait until all of it is gone and nobody builds, and return the locked lock.

    Raises FileNotFoundError when STATE was removed meanwhile, EnvironmentLackError naming who does not let go.
    """

    def look() -> int | None:
        # Its PID namespace ends with it: the kernel lets a process 1 go only when all the others are gone.
        return None if signal_init(state_dir, signal.SIGKILL) else paths.try_lock(state_dir / "lock")

    lock = paths.wait_until(look, _WITHIN_S, _PAUSE_S)
    if lock is None:
        who = _lock_holder(state_dir / "lock")
        raise EnvironmentLackError(
            f"{state_dir.name}: process {who} holds this lab and does not let go" if who else f"{state_dir} is locked",
            "a 'netctl lab up' that was stopped? Let it go on, or kill it",
        )
    return lock


def undo(state_dir: Path) -> None:
    """Take down what this process was building, once or twice; it holds the lock itself."""
    paths.wait_until(lambda: None if signal_init(state_dir, signal.SIGKILL) else True, _WITHIN_S, _PAUSE_S)
    with suppress(FileNotFoundError):
        remove(state_dir)


def _lock_holder(path: Path) -> int | None:
    inode = path.stat().st_ino
    for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    return None
