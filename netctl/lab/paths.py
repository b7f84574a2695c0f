"""Where a lab keeps its files, and the locks that say who is at work on it.

STATE (``/run/netctl-lab/NAME`` as root) holds: ``lock`` (held by whoever builds, then by the lab's init, for as long
as the lab lives), ``builder`` (held by ``lab up`` alone), ``init.pid``, ``plan.json``, ``processes.json``, ``ready``,
``ready-names``, ``etc/`` (configurations), ``log/NODE/`` and ``run/`` (the lab's /run/netctl: one folder per node, with
its sockets). As long as ``run/held/NODE/NAME`` is there, init does not start that program when it has ended.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from netctl.model.errors import EnvironmentLackError, UsageError

T = TypeVar("T")

DEFAULT_NAME = "lab"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?")
_SOCKET_WITHIN = len("/" + 24 * "x" + "/run/" + 12 * "x" + "/agent.sock")
"""What a socket that is reached from outside adds to the folder of all labs."""
_MAX_SOCKET_PATH = 107  # sockaddr_un.sun_path without its closing zero


def state_root() -> Path:
    """The folder of all labs of this user."""
    if os.geteuid() == 0:
        return Path("/run/netctl-lab")
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and os.access(runtime, os.W_OK):
        root = Path(runtime, "netctl-lab")
        if len(os.fsencode(root)) + _SOCKET_WITHIN <= _MAX_SOCKET_PATH:
            return root
    return Path(f"/tmp/netctl-lab-{os.geteuid()}")  # noqa: S108 (0700, and refused when it is not ours)


def state_dir(name: str) -> Path:
    """STATE of the lab of that name, whether it is there or not. Raises UsageError for what is no name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a lab", "allowed: a-z, 0-9 and - between them, up to 24 characters")
    return state_root() / name


def held_file(run: Path, node: str, name: str) -> Path:
    """Keeps a program down; its content is the id of the drill that does. ``run``: STATE/run, /run/netctl inside."""
    return run / "held" / node / name


def make_state_dir(path: Path) -> None:
    """Raises EnvironmentLackError when it cannot be made, or when another user made the folder of this user's labs."""
    root = path.parent
    mode = 0o755 if os.geteuid() == 0 else 0o700  # FRR's daemons read their files as user frr
    try:
        root.mkdir(mode=mode, exist_ok=True)
        if root.lstat().st_uid != os.geteuid() or root.is_symlink():
            raise EnvironmentLackError(f"{root} belongs to another user", "set XDG_RUNTIME_DIR to a folder of yours")
        path.mkdir(mode=mode, exist_ok=True)
    except OSError as error:
        raise EnvironmentLackError(
            f"cannot make {path}: {error.strerror}", "set XDG_RUNTIME_DIR to a writable folder"
        ) from None


def names() -> list[str]:
    """Every lab of this user that has files, up or half-built."""
    root = state_root()
    return sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []


def try_lock(path: Path) -> int | None:
    """Lock the file and return its descriptor (the lock lives as long as any copy of it); None: somebody has it.

    Raises FileNotFoundError when the folder is gone. A file that was removed meanwhile does not count.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
        os.close(descriptor)


def wait_until(look: Callable[[], T | None], within_s: float, pause_s: float = 0.02) -> T | None:
    """Ask until the answer is not None; None when the time is over."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found is not None or time.monotonic() >= deadline:
            return found
        time.sleep(pause_s)
