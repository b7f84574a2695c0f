"""The shipped systemd units, judged by systemd itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[2] / "deploy" / "systemd").glob("*.service"))
INSTALLED = "/opt/netctl/bin"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_nothing_wrong_with_a_unit(unit: Path, tmp_path: Path) -> None:
    for program in ("netctl", "python"):
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    copy = tmp_path / unit.name.replace("@", "@ga1")
    copy.write_text(unit.read_text().replace(INSTALLED, str(tmp_path)))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["agent", "controller", "checker"])
def test_a_unit_starts_a_command_that_netctl_has(name: str) -> None:
    (unit,) = [unit for unit in UNITS if unit.stem == f"netctl-{name}@"]
    command = re.search(rf"^ExecStart={INSTALLED}/netctl (\w+ \w+) --config", unit.read_text(), re.MULTILINE)
    assert command is not None
    done = subprocess.run(
        [sys.executable, "-c", "from netctl.cli.main import main; main()", *command[1].split(), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--config" in done.stdout
