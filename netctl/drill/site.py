"""What a drill's runner needs of the place where it runs: a port. The lab's is in ``io``; tests bring small ones."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from netctl.drill.facts import Facts


class Site(Protocol):
    """A lab that is up."""

    @property
    def name(self) -> str:
        """The lab's name."""

    @property
    def folder(self) -> Path:
        """Where drills keep their files, as seen from outside."""

    @property
    def inside(self) -> str:
        """The same folder as seen from inside the lab's namespaces."""

    def facts(self) -> Facts:
        """Read anew at each call. Raises NetctlError."""

    def gone(self) -> bool:
        """It was taken down, and every fault with it; another one of its name may be up."""

    def unsteady(self) -> list[str]:
        """What is not as it should be, in words; empty: steady."""

    def controllers(self) -> dict[str, dict[str, Any] | None]:
        """Controller → the body of its status; None when it does not answer at once."""

    def popen(self, node: str | None, argv: Sequence[str], **kwargs: Any) -> subprocess.Popen[bytes]:
        """A program in the lab's namespaces (None: in no particular node)."""
