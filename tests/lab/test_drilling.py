"""``lab down`` while somebody drills there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from netctl.drill.folder.io import Lock
from netctl.lab.drilling import refuse_during_drill

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.conftest import Bench


def test_down_is_refused_while_a_drill_runs_unless_forced(bench: Bench) -> None:
    assert bench.up().returncode == 0
    lock = Lock(bench.state_dir / "run" / "drills", "provider-cut provider-cut-1")
    try:
        refused = bench.run("down")
        assert refused.returncode == 3
        assert f"drill provider-cut of pid {os.getpid()} is running" in refused.stderr
        assert bench.list()[bench.name] == "up"
        assert bench.run("down", "--force").returncode == 0
        assert lock.removed
    finally:
        lock.close()


def test_a_drill_that_is_over_keeps_nobody_from_taking_the_lab_down(tmp_path: Path) -> None:
    refuse_during_drill(tmp_path)
    Lock(tmp_path / "run" / "drills", "provider-cut provider-cut-1").close()
    refuse_during_drill(tmp_path)
