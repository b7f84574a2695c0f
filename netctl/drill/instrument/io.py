"""A probe that runs: what it says now, and its report in the end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from netctl.drill.programs.io import Program
from netctl.model.clock import MS
from netctl.probe.spec import Status

R = TypeVar("R", bound=msgspec.Struct)


class Instrument(Generic[R]):
    """``kind``: what its report is. ``gone`` is called when it ends without one."""

    def __init__(self, program: Program, kind: type[R], gone: Callable[[], None]) -> None:
        self._program = program
        self._kind = kind
        self._tag = b'{"type":"%s"' % str(kind.__struct_config__.tag).encode()
        self._gone = gone
        self._fresh = asyncio.Event()
        self.status: Status | None = None
        self.report: R | None = None
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """Status lines until the report."""
        with contextlib.suppress(msgspec.DecodeError):
            while (line := await self._program.line()) is not None:
                if line.startswith(self._tag):
                    self.report = msgspec.json.decode(line, type=self._kind)
                else:
                    self.status = msgspec.json.decode(line, type=Status)
                self._fresh.set()
        if self.report is None:
            self._gone()

    async def clean(self, clean_ms: int, within_s: float) -> bool:
        """Until nothing has gone wrong for ``clean_ms``, counted from now."""
        begun_ns = time.monotonic_ns()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while True:
                    status = self.status
                    if status and min(status.clean_ms, (status.at_ns - begun_ns) // MS) >= clean_ms:
                        return True
                    self._fresh.clear()
                    await self._fresh.wait()
        return False

    @property
    def losers(self) -> str:
        """What goes wrong now, in words."""
        return ", ".join(self.status.waiting) if self.status and self.status.waiting else "now and then"

    async def finish(self, within_s: float) -> R | None:
        """Tell it to end; its report, or None when it gives none in time."""
        self._program.leave()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.report is None:
                    self._fresh.clear()
                    await self._fresh.wait()
        return self.report

    async def close(self) -> None:
        self._program.leave()
        await self._program.ended(5.0)
        self._watcher.cancel()
