"""I6: how many ready endpoints were taken out of a cluster, in every window of the budget, whoever did it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from netctl.model.clock import SECOND


class Spent:
    """One cluster's removals. ``limits``: (seconds, how many)."""

    def __init__(self, limits: Sequence[tuple[int, int]]) -> None:
        self._limits = limits
        self._removals: deque[tuple[int, int]] = deque()

    def forget(self) -> None:
        """A backup took the removals back, and what was remembered of them; or a hand deleted that."""
        self._removals.clear()

    def removed(self, number: int, sent_ns: int) -> str:
        """Take note of a removal; which limit it breaks, in words, "" for none."""
        self._removals.append((sent_ns, number))
        for window_s, limit in self._limits:
            spent = sum(n for at_ns, n in self._removals if sent_ns - window_s * SECOND < at_ns <= sent_ns)
            if spent > limit:
                return f"{spent} ready endpoints were removed within {window_s} s, {limit} may be"
        return ""
