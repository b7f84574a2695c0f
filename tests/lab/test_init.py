"""What the lab's init does beside keeping programs running."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from netctl.fault.journal import Journal, decode, encode
from netctl.fault.lock.io import LOCK
from netctl.lab.init import Init
from netctl.lab.plan import LabPlan
from netctl.lab.topology import Topology


def test_an_overdue_fault_is_taken_back_by_one_program_however_long_that_waits(tmp_path: Path) -> None:
    drills = tmp_path / "run" / "drills"
    drills.mkdir(parents=True)
    journal = drills / "late.journal"
    journal.write_bytes(encode(Journal("late", "provider-cut", "x", 1, 0, 0.0, faults=())))
    ours, theirs = socket.socketpair()
    init = Init(LabPlan("x", str(tmp_path), Topology((), (), {}, 50, 3, 9), ()), theirs)
    with (drills / LOCK).open("w") as guardian, ours, theirs:
        fcntl.lockf(guardian, fcntl.LOCK_EX)  # as a guardian that still works
        for _ in range(3):
            init._end_overdue_faults()
        (pid,) = init._undoers
        assert decode(journal.read_bytes()).open
    assert os.waitpid(pid, 0)[1] == 0
    assert decode(journal.read_bytes()).closed_by == "undo"
