"""One check's verdict from its runs, and the port that performs a run."""

from __future__ import annotations

from typing import Protocol

from netctl.model.gateway import CheckSettings


class Checks(Protocol):
    """Performs health checks."""

    async def probe(self, settings: CheckSettings) -> tuple[bool | None, str]:
        """One run: whether it passed, and in words what happened. Never raises; ends within ``timeout_ms``.

        None: it could not take place here (no descriptor is free, say), which says nothing about the target.
        """


class Verdict:
    """Rise and fall: ``passing`` is None until ``rise`` passes or ``fall`` failures in a row have been seen."""

    def __init__(self, rise: int, fall: int) -> None:
        self._rise = rise
        self._fall = fall
        self.passing: bool | None = None
        self.streak = 0
        """Runs in a row with the same outcome: positive passes, negative failures."""
        self.detail = "has not run yet"
        """What the last run said."""

    def ran(self, *, passed: bool | None, detail: str) -> bool:
        """Take the outcome of one run; returns whether the verdict changed. None: it did not take place."""
        self.detail = detail
        if passed is None:
            return False
        if passed:
            self.streak = max(self.streak, 0) + 1
            verdict = True if self.streak >= self._rise else self.passing
        else:
            self.streak = min(self.streak, 0) - 1
            verdict = False if -self.streak >= self._fall else self.passing
        changed = verdict is not self.passing
        self.passing = verdict
        return changed
