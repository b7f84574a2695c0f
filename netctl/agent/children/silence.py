"""How long a connected child has said nothing although it promised to speak."""

from __future__ import annotations

from typing import Literal

from netctl.model.clock import SECOND

SHOWN_NS = 5 * SECOND
WEDGED_NS = 20 * SECOND
"""A child that lives but has said nothing for so long, or has not answered its socket, is stuck: it is ended and
started again."""

News = Literal["stuck", "speaks again"]


class Silence:
    """One child. Only time in which the agent itself ran counts, and nobody is accused who promised nothing."""

    def __init__(self) -> None:
        self._heard_ns: int | None = None
        self._accused = False

    def connected(self, alive_s: int, now_ns: int) -> None:
        """Its Hello came; ``alive_s`` as in Hello."""
        self._heard_ns = now_ns if alive_s else None

    def heard(self, now_ns: int) -> None:
        """It said something."""
        if self._heard_ns is not None:
            self._heard_ns = now_ns

    def lost(self) -> None:
        """Its socket closed: whether it lives is not asked here any more."""
        self._heard_ns, self._accused = None, False

    def slept(self, gap_ns: int) -> None:
        """The agent did not run for that long: what was said meanwhile is still unread."""
        if self._heard_ns is not None:
            self._heard_ns += gap_ns

    def for_ns(self, now_ns: int) -> int:
        return 0 if self._heard_ns is None else max(0, now_ns - self._heard_ns)

    def news(self, now_ns: int) -> News | None:
        """What there is to say about it now; each is said once."""
        stuck = self.for_ns(now_ns) > WEDGED_NS
        if stuck == self._accused:
            return None
        self._accused = stuck
        return "stuck" if stuck else "speaks again"
