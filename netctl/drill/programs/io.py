"""Start a program in the lab and talk with it in lines."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from netctl.drill.site import Site
from netctl.model.errors import InconclusiveError
from netctl.probe.spec import Flow, RoutesAnswer, RoutesSpec

_LINE_LIMIT = 64 * 1024 * 1024
_PROGRAM_WITHIN_S = 20.0


class Program:
    """A program in the lab that talks in lines. Its standard input's end is its sign to leave."""

    def __init__(self, process: subprocess.Popen[bytes], lines: asyncio.StreamReader) -> None:
        self._process = process
        self._lines = lines

    @classmethod
    async def start(cls, site: Site, argv: Sequence[str], log: Path) -> Program:
        with log.open("ab") as errors:
            process = site.popen(
                None, argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
        reader = asyncio.StreamReader(limit=_LINE_LIMIT)
        program = cls(process, reader)
        try:
            loop = asyncio.get_running_loop()
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), process.stdout)
        except BaseException:
            program.leave()
            raise
        return program

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, line: bytes) -> None:
        """Write one line; a program that is gone takes it silently (its output's end tells)."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.write(line + b"\n")
                self._process.stdin.flush()

    async def line(self) -> bytes | None:
        """The next line; None at the end."""
        line = await self._lines.readline()
        return line.rstrip(b"\n") if line.endswith(b"\n") else None

    def leave(self) -> None:
        """End its standard input."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()

    async def ended(self, within_s: float) -> None:
        """Reap it; killed when it takes too long."""
        try:
            await asyncio.to_thread(self._process.wait, within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)


def ask_routes(site: Site, node: str, flows: tuple[Flow, ...]) -> dict[str, str]:
    """By which interface ``node`` sends each flow. Raises InconclusiveError when it cannot be found out."""
    process = site.popen(
        None,
        [sys.executable, "-m", "netctl.probe", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    question = msgspec.json.encode(RoutesSpec(node=node, flows=flows))
    try:
        output, complaint = process.communicate(question + b"\n", timeout=_PROGRAM_WITHIN_S)
        return msgspec.json.decode(output, type=RoutesAnswer).interfaces
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise InconclusiveError(f"the way of the flows through {node} could not be found out in time") from None
    except msgspec.DecodeError:
        raise InconclusiveError(
            f"the way of the flows through {node} could not be found out: {complaint.decode(errors='replace').strip()}"
        ) from None


def last_words(log: Path) -> str:
    """What a program complained of before it died, in one line: its last error, or where to look."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    errors = [line.removeprefix("netctl: ") for line in lines if line.startswith("netctl: ")]
    return errors[-1] if errors else f"see {log}" if lines else "without a word"
