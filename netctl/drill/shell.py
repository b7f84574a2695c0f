"""Runs one drill: feeds its course with events and performs the effects, one at a time."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable

from netctl.drill.acts.shell import Acts, Failed
from netctl.drill.decide import Course, Effect, Event, Outcome, Phase
from netctl.drill.experiments import Drill, Options
from netctl.drill.folder.io import save_result
from netctl.drill.report import Run, result
from netctl.drill.results import DrillResult
from netctl.drill.site import Site
from netctl.drill.verdict import Seen, judge_all
from netctl.model.errors import NetctlError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GOING_WITHIN_S = 3.0
"""A lab that is being taken down loses its programs a moment before its process 1 is gone."""


class Runner:
    """One drill in one lab, once."""

    def __init__(self, site: Site, drill: Drill, options: Options, limit_s: float, say: Callable[[str], None]) -> None:
        self._site = site
        self._drill = drill
        self._options = options
        self._say = say
        self._started_wall = time.time()
        self._started_ns = time.monotonic_ns()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(self._started_wall))
        self._id = f"{drill.name}-{stamp}-{os.getpid()}"
        self._acts = Acts(site, drill, options, identifier=self._id, limit_s=limit_s, say=say, tell=self._happened)
        self._course = Course()
        self._phases: list[tuple[Phase, int]] = []
        self._events: asyncio.Queue[tuple[int, Event, str]] = asyncio.Queue()
        self._turn = 0
        self._task: asyncio.Task[None] | None = None
        self._refusal: tuple[int | None, str] = (None, "")
        self._bug: Exception | None = None
        self._died = False

    async def run(self) -> DrillResult:
        """The whole drill. SIGINT, SIGTERM and SIGHUP abort it; whatever happens, the undo does too."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._interrupt, number)
        try:
            await self._step(Event.BEGIN, "")
            while self._course.phase is not Phase.DONE:
                turn, event, detail = await self._events.get()
                if turn == self._turn or event not in {Event.OK, Event.FAILED}:
                    await self._step(event, detail)  # else: the answer of an effect that was cancelled
            return await self._finish()
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _happened(self, event: Event, detail: str) -> None:
        self._events.put_nowait((self._turn, event, detail))

    def _interrupt(self, number: int) -> None:
        if self._course.phase is Phase.RESCUING:
            self._say("please wait: the fault is taken back first")
        self._happened(Event.INTERRUPTED, f"interrupted by {signal.Signals(number).name}")

    async def _step(self, event: Event, detail: str) -> None:
        before = self._course.phase
        self._died |= event in {Event.PROBE_GONE, Event.GUARDIAN_GONE}
        effects = self._course.handle(event, detail)
        if self._course.phase is not before:
            self._phases.append((self._course.phase, time.monotonic_ns()))
        for effect in effects:
            if effect is Effect.CANCEL:
                await self._cancel()
            elif effect is not Effect.FINISH:
                self._turn += 1
                self._task = asyncio.create_task(self._perform(effect, self._turn))

    async def _cancel(self) -> None:
        self._turn += 1
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _perform(self, effect: Effect, turn: int) -> None:
        acts = self._acts
        methods: dict[Effect, Callable[[], Awaitable[None]]] = {
            Effect.LOCK: acts.take_lock,
            Effect.CHECK: acts.check,
            Effect.CHOOSE: acts.choose,
            Effect.PROBE: acts.probe,
            Effect.GUARD: acts.guard,
            Effect.BASELINE: acts.baseline,
            Effect.INJECT: acts.inject,
            Effect.HOLD: acts.hold,
            Effect.UNDO: acts.undo,
            Effect.SETTLE: acts.settle,
            Effect.TAIL: acts.tail,
            Effect.COLLECT: acts.collect,
            Effect.RESCUE: acts.rescue,
        }
        answer, detail = Event.OK, ""
        try:
            await methods[effect]()
        except NetctlError as error:
            answer, detail = Event.FAILED, error.message
            if self._refusal[0] is None:
                self._refusal = (error.exit_code, error.hint)
        except (Failed, OSError) as error:
            answer, detail = Event.FAILED, str(error)
        except Exception as error:  # a bug of ours: the undo comes first, then it is shown
            answer, detail, self._bug = Event.FAILED, repr(error), error
        self._events.put_nowait((turn, answer, detail))

    async def _finish(self) -> DrillResult:
        acts = self._acts
        await acts.close()
        lab_gone = await self._lab_gone()
        if lab_gone:
            self._course.handle(Event.LAB_GONE, "the lab was taken down")
            self._refusal = (None, f"netctl lab up --name {self._site.name}")
        elif self._bug is not None:
            raise self._bug
        judgement = None
        moments = acts.moments
        measured = self._course.outcome in {Outcome.MEASURED, Outcome.UNSETTLED}
        if measured and moments is not None and acts.experiment is not None:
            seen = Seen(acts.measured, acts.report, acts.names_report, acts.glances)
            judgement = judge_all(acts.experiment, moments, seen)
        run = Run(
            self._id,
            self._drill.name,
            self._site.name,
            self._started_wall,
            self._started_ns,
            time.monotonic_ns(),
            self._phases,
            tuple(acts.notes),
            self._options,
            acts.injecting,
            lab_gone,
        )
        done = result(run, self._course, acts.experiment, judgement, self._refusal)
        if acts.lock is not None:
            try:
                save_result(self._site, done, acts.lock)
            except (NetctlError, OSError) as error:  # the verdict stands, and whoever waits for it gets it
                self._say(f"the result is not kept: {error}")
            acts.lock.close()
        return done

    async def _lab_gone(self) -> bool:
        """Whether the lab's end is why the drill did not come to its own."""
        if self._course.outcome is Outcome.MEASURED:
            return False
        programs_died = self._died or self._course.outcome is Outcome.RESTORE_FAILED
        deadline = time.monotonic() + (_GOING_WITHIN_S if programs_died else 0.0)
        while not self._site.gone():
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(0.05)
        return True
