"""Who drills in a lab right now, as its drills folder tells (netctl.drill.folder)."""

from __future__ import annotations

import re
from pathlib import Path

from netctl.model.errors import RefusedError

_HOLDER = re.compile(r"(\S+) .*\(pid (\d+)\)\s*")


def refuse_during_drill(state_dir: Path) -> None:
    """Raises RefusedError naming the drill that runs in this lab."""
    path = state_dir / "run" / "drills" / "lock"
    try:
        inode, content = path.stat().st_ino, path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # nobody has drilled here yet
        return
    holder = _HOLDER.fullmatch(content)
    if holder and int(holder[2]) in _flock_holders(inode):
        raise RefusedError(
            f"drill {holder[1]} of pid {holder[2]} is running in the lab {state_dir.name!r}; "
            "--force takes it down all the same",
            "or wait for it, or end it with Ctrl-C: it takes its fault back",
        )


def _flock_holders(inode: int) -> set[int]:
    """Pids of those who have locked a file of that number (proc(5), locks): looking must not lock it itself.

    Several file systems may have a file of that number; that the file names the same pid settles it.
    """
    lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    fields = [line.split() for line in lines if " FLOCK " in line and "->" not in line]
    return {int(words[4]) for words in fields if words[5].endswith(f":{inode}")}
