"""Keeps programs running: decides when to start what. Starting and reaping is init's work; no I/O here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netctl.lab.plan import ProcessPlan, ProcessRecord

BACK_OFF_S = (0.1, 0.5, 2.0, 5.0, 10.0)
"""Pause before the first, second, … restart in a row; the last one repeats."""
STEADY_S = 10.0
"""A program that ran this long starts again from the shortest pause."""
WAIT_AT_MOST_S = 5.0
"""A program is started even when what it waits for has not appeared by then: its own error says more than silence."""


@dataclass(slots=True)
class _Program:
    plan: ProcessPlan
    start_at: float
    pid: int = 0
    started_at: float = 0.0
    waiting_until: float = 0.0
    failures: int = 0
    restarts: int = -1
    last_exit: int | None = None


class Supervisor:
    """``due(now)`` says what to start, ``started`` and ``exited`` tell what happened. Times are monotonic seconds."""

    def __init__(self, plans: tuple[ProcessPlan, ...], exists: Callable[[str], bool], now: float) -> None:
        self._exists = exists
        self._programs = [_Program(plan, now, waiting_until=now + WAIT_AT_MOST_S) for plan in plans]

    def due(self, now: float) -> list[ProcessPlan]:
        """Programs to start now; each stays due until ``started`` or ``failed_to_start`` is called for it."""
        return [
            p.plan
            for p in self._programs
            if not p.pid
            and p.start_at <= now
            and (p.plan.waits_for is None or p.waiting_until <= now or self._exists(p.plan.waits_for))
        ]

    def next_look(self, now: float) -> float | None:
        """Seconds until ``due`` should be asked again; None: only after an exit."""
        pending = [p for p in self._programs if not p.pid]
        if not pending:
            return None
        return max(0.02, min(p.start_at for p in pending) - now)

    def started(self, plan: ProcessPlan, pid: int, now: float) -> None:
        program = self._of(plan)
        program.pid, program.started_at = pid, now
        program.restarts += 1

    def failed_to_start(self, plan: ProcessPlan, now: float) -> None:
        self._put_off(self._of(plan), now)

    def exited(self, pid: int, code: int, now: float) -> ProcessPlan | None:
        """Returns the program that ended, or None for an orphan that was none of ours."""
        for program in self._programs:
            if program.pid == pid:
                if now - program.started_at >= STEADY_S:
                    program.failures = 0
                program.pid, program.last_exit = 0, code
                self._put_off(program, now)
                return program.plan
        return None

    def records(self) -> list[ProcessRecord]:
        return [
            ProcessRecord(
                p.plan.node,
                p.plan.name,
                p.plan.role,
                p.pid,
                "running" if p.pid else "waiting" if p.restarts < 0 else "restarting",
                max(0, p.restarts),
                p.last_exit,
            )
            for p in self._programs
        ]

    def _of(self, plan: ProcessPlan) -> _Program:
        return next(p for p in self._programs if p.plan is plan)

    def _put_off(self, program: _Program, now: float) -> None:
        program.start_at = now + BACK_OFF_S[min(program.failures, len(BACK_OFF_S) - 1)]
        program.waiting_until = program.start_at + WAIT_AT_MOST_S
        program.failures += 1
