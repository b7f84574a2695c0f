"""What happened, in order: hashed whole, the end of it kept to be shown."""

from __future__ import annotations

from collections import deque
from hashlib import sha256

from netctl.model.clock import MS
from netctl.sim.loop import START_NS, SimLoop

TAIL = 40


class Trace:
    """One line for each thing that happened. ``digest`` is equal for two runs if and only if the runs were."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self._hash = sha256()
        self.lines = 0
        self.tail: deque[str] = deque(maxlen=TAIL)

    def add(self, who: str, what: str, *, shown: bool = True) -> None:
        """Not ``shown``: part of the trace, but it would only fill the tail."""
        line = f"{(self._loop.now_ns - START_NS) / MS:12.3f} ms  {who}: {what}"
        self._hash.update(f"{self._loop.now_ns} {who} {what}\n".encode())
        self.lines += 1
        if shown:
            self.tail.append(line)

    def digest(self) -> str:
        return self._hash.hexdigest()
