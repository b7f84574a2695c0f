"""The guardians' lock of a drills folder: one of them works at a time, and none keeps the others waiting for ever.

It is a POSIX record lock, because the kernel itself names who has it (F_GETLK, fcntl(2)): a note in the file could
still be missing when its writer is stopped. Such a lock goes with its process, and with the first descriptor of the
file that this process closes: a process opens the file once.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import time
from pathlib import Path

from netctl.fault.guardian import PATIENCE_NS
from netctl.model.clock import SECOND
from netctl.model.errors import RestoreFailedError

LOCK = "guardian.lock"
STOPPED_S = 1.0
"""A holder that is stopped (SIGSTOP) gets so long to be continued."""
BUSY_S = PATIENCE_NS / SECOND + 5.0
"""One that runs gets longer than a guardian tries to undo."""
_GONE_WITHIN_S = 5.0
_PAUSE_S = 0.02
_FLOCK = "hhqqi4x"  # struct flock: l_type, l_whence, l_start, l_len, l_pid


def take(folder: Path) -> int:
    """Wait for the lock and return its descriptor. A predecessor that still undoes goes first; one that is stopped or
    takes too long is killed: its journal says what is to be undone, and undoing twice does no harm.

    Raises RestoreFailedError naming a holder that cannot be killed.
    """
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    seen: int | None = None
    busy_until = stopped_until = 0.0
    try:
        while not _taken(lock):
            now, pid = time.monotonic(), _holder(lock)
            if pid != seen:
                seen, busy_until, stopped_until = pid, now + BUSY_S, now + STOPPED_S
            if pid is not None:
                if not stopped(pid):
                    stopped_until = now + STOPPED_S
                if now >= min(busy_until, stopped_until):
                    _end(pid, lock)
            time.sleep(_PAUSE_S)
    except BaseException:
        os.close(lock)
        raise
    return lock


def holder(folder: Path) -> int | None:
    """Pid of the guardian that has the lock; None: nobody has it. Not for a process that has it itself."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return _holder(lock)
    finally:
        os.close(lock)


def stopped(pid: int) -> bool:
    """Whether a signal or a tracer has stopped it (proc(5), field 3 of stat)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] in "Tt"


def _taken(lock: int) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # EAGAIN, EACCES: somebody has it
        return False
    return True


def _holder(lock: int) -> int | None:
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(lock, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid


def _end(pid: int, lock: int) -> None:
    """Kill the holder, also a stopped one, and wait until it is gone. Raises RestoreFailedError."""
    hint = "try again: netctl drill recover; netctl lab down ends every fault with the lab"
    if pid <= 0:
        raise RestoreFailedError("a guardian in other namespaces holds the lock and does not end", hint)
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _holder(lock) != pid:  # from here on the descriptor cannot mean another process
            return
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        if not select.select([descriptor], [], [], _GONE_WITHIN_S)[0]:
            raise RestoreFailedError(f"a guardian (pid {pid}) holds the lock and does not end when it is killed", hint)
    except ProcessLookupError:
        return
    except PermissionError:
        raise RestoreFailedError(f"a guardian (pid {pid}) of another user holds the lock", hint) from None
    finally:
        os.close(descriptor)
