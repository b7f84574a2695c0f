"""Faults whose limit is over and which nobody took back: the drill's runner and its guardian are dead or stopped; and
programs that are still held down for a drill that is over."""

from __future__ import annotations

from pathlib import Path

from netctl.fault.journal import SUFFIX, DamagedJournalError, decode
from netctl.fault.lock.io import holder, stopped
from netctl.model.clock import SECOND

GRACE_NS = 1 * SECOND
"""The guardian acts at the limit itself; only when it has not, somebody else must."""


def overdue(folder: Path, now_ns: int) -> list[Path]:
    """The open journals in ``folder`` whose limit passed (``now_ns``: CLOCK_MONOTONIC).

    A damaged one says no limit any more: it is due as soon as no guardian is at work, who would know it by heart.
    """
    late = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            journal = decode(path.read_bytes())
        except DamagedJournalError:
            guardian = holder(folder)
            if guardian is None or stopped(guardian):
                late.append(path)
            continue
        except OSError:
            continue
        if journal.open and now_ns > journal.deadline_ns + GRACE_NS:
            late.append(path)
    return late


def stale_holds(run: Path) -> list[Path]:
    """The files that hold a program down (``run/held/NODE/NAME``, the drill's id in it) although the journal of that
    drill is closed. One without such a journal was put there by hand: whoever did that removes it."""
    stale = []
    for path in sorted(run.glob("held/*/*")):
        try:
            journal = decode((run / "drills" / f"{path.read_text(encoding='utf-8').strip()}{SUFFIX}").read_bytes())
        except (OSError, ValueError, DamagedJournalError):
            continue
        if not journal.open:
            stale.append(path)
    return stale
