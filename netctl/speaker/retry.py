"""A session that is not there: when ExaBGP is told to try again, when to ask why, and the hold-off. No I/O.

ExaBGP backs off up to 60 s after a refused OPEN and waits for the kernel's SYN timer, which doubles, after a silent
one. A reload with a configuration that differs makes it start over at once (``Configure``); the difference is
``connect 179``, its default, written out or not. A hold-off is a configuration that does not connect.

A peer that connects to us (``listen``) is waited for; none of this applies.
"""

from __future__ import annotations

from netctl.model.clock import SECOND
from netctl.speaker.effects import Configure, Diagnose, Effect

RETRY_NS = 7 * SECOND // 2
"""Between two of ExaBGP's own attempts, which come 0, 1, 2, 3, 4, 5, 7, 9, 11... seconds after a loss: a reload that
meets one ends the session that has just come up (Cease, Peer De-configured), and the peer backs off."""
RETRY_REFUSED_NS = 10 * SECOND
"""After an OPEN that one side refused: a person has to mend a file first."""
DIAGNOSE_AFTER_RETRY_NS = SECOND
HOLD_OFF_S = (30, 60, 120, 240, 480, 600)


class Retry:
    """The deadlines of one session; ``now`` is monotonic nanoseconds."""

    def __init__(self, listen: bool) -> None:
        self._listen = listen
        self._alternate = False
        self._hold_offs = 0
        self._retry_at: int | None = None
        self._diagnose_at: int | None = None
        self._release_at: int | None = None

    @property
    def held_off(self) -> bool:
        """Not connecting, on purpose."""
        return self._release_at is not None

    def connected(self) -> None:
        """There is a TCP connection: leave ExaBGP alone."""
        self._retry_at = self._diagnose_at = None

    def lost(self, now: int, *, refused: bool = False) -> None:
        """There is none (any more); ``refused``: an OPEN was."""
        if not self._listen and not self.held_off:
            self._retry_at = now + (RETRY_REFUSED_NS if refused else RETRY_NS)

    def now(self, now: int) -> list[Effect]:
        """Try again at once, unless held off."""
        if self._listen or self.held_off:
            return []
        self._alternate = not self._alternate
        self._retry_at = now + RETRY_NS
        self._diagnose_at = now + DIAGNOSE_AFTER_RETRY_NS
        return [Configure(passive=False, alternate=self._alternate)]

    def hold_off(self, now: int) -> list[Effect]:
        """Stop connecting for a while, each time for longer."""
        if self._listen:
            return []
        seconds = HOLD_OFF_S[min(self._hold_offs, len(HOLD_OFF_S) - 1)]
        self._hold_offs += 1
        self._retry_at = self._diagnose_at = None
        self._release_at = now + seconds * SECOND
        return [Configure(passive=True, alternate=self._alternate)]

    def hold_on(self) -> list[Effect]:
        """A session came about in a hold-off: ExaBGP had begun it before, or ignored the reload."""
        return [Configure(passive=True, alternate=self._alternate)] if self.held_off else []

    def next_timer(self) -> int | None:
        """The earliest deadline, or None."""
        deadlines = (self._retry_at, self._diagnose_at, self._release_at)
        return min((at for at in deadlines if at is not None), default=None)

    def handle_timer(self, now: int) -> list[Effect]:
        """Do what has become due."""
        effects: list[Effect] = []
        if self._release_at is not None and now >= self._release_at:
            self._release_at = None
            self._retry_at = now + RETRY_NS
            effects.append(Configure(passive=False, alternate=self._alternate))
        if self._diagnose_at is not None and now >= self._diagnose_at:
            self._diagnose_at = None
            effects.append(Diagnose())
        if self._retry_at is not None and now >= self._retry_at:
            effects += self.now(now)
        return effects
