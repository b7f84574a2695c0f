"""Faults whose limit is over and which nobody took back: the drill's runner and its guardian are dead or stopped."""

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
