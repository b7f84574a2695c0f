"""Where the traceback of an internal error goes."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

MAX_REPORTS = 20
"""How many are kept in a folder."""


def write_bug(argv: list[str], trace: str) -> Path | None:
    """Write the traceback to a new file in the first folder that can be written; None when there is none."""
    from netctl import __version__

    head = f"netctl {__version__}, Python {sys.version.split()[0]}\n{' '.join(argv)}\n\n"
    name = f"bug-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / name
            with path.open("x", encoding="utf-8", errors="backslashreplace") as file:
                file.write(head + trace)
            _prune(folder)
        except OSError:
            continue
        return path
    return None


def _prune(folder: Path) -> None:
    """A program that is restarted again and again must not fill the disk with the same report."""
    for old in sorted(folder.glob("bug-*.log"), key=lambda path: path.stat().st_mtime)[:-MAX_REPORTS]:
        old.unlink(missing_ok=True)


def _folders() -> list[Path]:
    state = os.environ.get("XDG_STATE_HOME", "")
    folders = [Path(state) / "netctl"] if state.startswith("/") else []
    if os.geteuid() == 0:
        folders.append(Path("/var/log/netctl"))
    elif os.environ.get("HOME", "").startswith("/"):
        folders.append(Path(os.environ["HOME"]) / ".local/state/netctl")
    # An own folder name, so that nobody else's file or link is written to in a shared place.
    folders.append(Path(tempfile.gettempdir()) / f"netctl-log-{os.geteuid()}")
    return folders
