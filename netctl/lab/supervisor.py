"""Keeps programs running: decides when to start what. Starting and reaping is init's work; no I/O here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from netctl.lab.plan import ProcessPlan, ProcessRecord, ProcessState

BACK_OFF_S = (0.1, 0.5, 2.0, 5.0, 10.0)
"""Pause before the first, second, … restart in a row; the last one repeats."""
STEADY_S = 10.0
"""A program that ran this long starts again from the shortest pause."""
WAIT_AT_MOST_S = 5.0
"""A program of the routing half is started even when what it waits for has not appeared by then: its own error says
more than silence."""
HELD_LOOK_S = 0.05
"""A program that is held down or waits for a file is looked at so often."""


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
    done: bool = False
    held: bool = False
    waits_for: str = ""

    @property
    def state(self) -> ProcessState:
        if self.pid:
            return "running"
        if self.done:
            return "done"
        if self.held:
            return "held"
        return "waiting" if self.waits_for or self.restarts < 0 else "restarting"


class Supervisor:
    """``due(now)`` says what to start, ``started`` and ``exited`` tell what happened. Times are monotonic seconds.

    ``held`` says whether somebody keeps a program down: one that has ended is not started until it no longer is, and
    then at once. A program that runs is left running.
    """

    def __init__(
        self,
        plans: tuple[ProcessPlan, ...],
        exists: Callable[[str], bool],
        now: float,
        held: Callable[[ProcessPlan], bool] = lambda _: False,
    ) -> None:
        self._exists = exists
        self._held = held
        self._programs: list[_Program] = []
        self.add(plans, now)

    def add(self, plans: tuple[ProcessPlan, ...], now: float) -> None:
        """Run these too; those that are known already stay as they are."""
        known = {(p.plan.node, p.plan.name) for p in self._programs}
        new = [plan for plan in plans if (plan.node, plan.name) not in known]
        self._programs += [_Program(plan, now, waiting_until=now + WAIT_AT_MOST_S) for plan in new]

    def due(self, now: float) -> list[ProcessPlan]:
        """Programs to start now; each stays due until ``started`` or ``failed_to_start`` is called for it."""
        return [p.plan for p in self._programs if not p.pid and not p.done and self._may_start(p, now)]

    def _may_start(self, program: _Program, now: float) -> bool:
        if self._held(program.plan):
            program.held = True
            return False
        if program.held:
            program.held, program.failures = False, 0
            program.start_at, program.waiting_until = now, now + WAIT_AT_MOST_S
        if program.start_at > now:
            return False
        program.waits_for = next((path for path in program.plan.waits_for if not self._exists(path)), "")
        if not program.waits_for or (program.plan.half == "routing" and program.waiting_until <= now):
            program.waits_for = ""
            return True
        return False

    def next_look(self, now: float) -> float | None:
        """Seconds until ``due`` should be asked again; None: only after an exit."""
        pending = [p for p in self._programs if not p.pid and not p.done]
        pauses = [HELD_LOOK_S if p.held or p.waits_for else max(0.02, p.start_at - now) for p in pending]
        return min(pauses, default=None)

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
                program.done = program.plan.once and code == 0
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
                p.state,
                max(0, p.restarts),
                p.last_exit,
                p.waits_for if p.state == "waiting" else "",
            )
            for p in self._programs
        ]

    def _of(self, plan: ProcessPlan) -> _Program:
        return next(p for p in self._programs if p.plan is plan)

    def _put_off(self, program: _Program, now: float) -> None:
        program.start_at = now + BACK_OFF_S[min(program.failures, len(BACK_OFF_S) - 1)]
        program.waiting_until = program.start_at + WAIT_AT_MOST_S
        program.failures += 1
