"""A guardian as a process, with its journal, as a runner has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from netctl.fault.faults import Fault
from netctl.fault.journal import Journal, document_name, encode

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT)}


class GuardianProcess:
    """Talks with it in lines. Its journal is ``FOLDER/drills/ID.journal``."""

    def __init__(self, folder: Path, fault: Fault, identifier: str = "test-1") -> None:
        self.path = folder / "drills" / document_name(identifier)
        self.path.parent.mkdir(exist_ok=True)
        deadline_ns = time.monotonic_ns() + 60 * 10**9
        self.path.write_bytes(encode(Journal(identifier, "test", "lab", os.getpid(), deadline_ns, 0.0, (fault,))))
        argv = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "netctl.fault", str(self.path)]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENV)

    def hears(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        said: dict[str, Any] = json.loads(self.process.stdout.readline())
        return said

    def told(self, word: bytes) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(word + b"\n")
        self.process.stdin.flush()
        return self.hears()

    def injected(self) -> None:
        assert self.hears()["event"] == "ready"
        assert self.told(b"inject")["event"] == "injected"

    def killed(self) -> None:
        """So that it can undo nothing any more."""
        self.process.kill()
        self.process.communicate()

    def undone_by_another(self) -> int:
        """The exit code of one that undoes in its place."""
        argv = [sys.executable, "-m", "netctl.fault", str(self.path), "--undo"]
        return subprocess.run(argv, env=ENV, stdout=subprocess.DEVNULL, timeout=60, check=False).returncode

    def left(self) -> int:
        self.process.communicate(timeout=30)
        return self.process.returncode
