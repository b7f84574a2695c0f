"""``Processes`` in memory: a program is a coroutine, SIGKILL drops it where it stands, SIGSTOP freezes it."""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from itertools import count
from typing import Any

from netctl.model.clock import MS, SECOND
from netctl.model.errors import EnvironmentLackError, NetctlError
from netctl.model.ports import ProcessId, ProcessSpec
from netctl.sim.loop import OWNER, Owner, SimLoop

Program = Callable[[], Coroutine[Any, Any, None]]

_TICK_NS = 10 * MS


class SimProcess(Owner):
    """One running (or ended) program. ``error`` is what ended it, None for a clean end or a kill."""

    def __init__(self, loop: SimLoop, name: str, process_id: ProcessId, program: Program, on_end: OnEnd) -> None:
        super().__init__(name)
        self.id = process_id
        self.error: BaseException | None = None
        self._loop = loop
        self._on_end = on_end
        self._watchers: list[tuple[Callable[[], None], Context]] = []
        context = Context()
        context.run(OWNER.set, self)
        self._task = loop.create_task(program(), name=name, context=context)
        self._task.add_done_callback(self._finished, context=Context())

    def signal(self, number: int) -> bool:
        if self.dead:
            return False
        if number == signal.SIGKILL:
            self._gone()
        elif number == signal.SIGSTOP:
            self.stopped = True
        elif number == signal.SIGCONT:
            self._loop.resume(self)
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._task.cancel()
        return True

    def watch(self, callback: Callable[[], None]) -> None:
        if self.dead:
            self._loop.call_soon(callback)
        else:
            self._watchers.append((callback, copy_context()))

    def _finished(self, task: asyncio.Task[None]) -> None:
        if not self.dead:
            self.error = None if task.cancelled() else task.exception()
            self._gone()

    def _gone(self) -> None:
        self.end()
        program = self._task.get_coro()
        if inspect.iscoroutine(program) and inspect.getcoroutinestate(program) == inspect.CORO_CREATED:
            program.close()
        self._on_end(self)
        for callback, context in self._watchers:
            self._loop.call_soon(callback, context=context)
        self._watchers.clear()


OnEnd = Callable[[SimProcess], None]


class FakeProcesses:
    """One host's programs. ``find`` says which coroutine function a spec's argv means; None: no such program."""

    def __init__(
        self,
        loop: SimLoop,
        find: Callable[[ProcessSpec], Program | None],
        on_end: OnEnd = lambda process: None,
        first_pid: int = 1000,
    ) -> None:
        self._loop = loop
        self._find = find
        self._on_end = on_end
        self._pids = count(first_pid)
        self.running: dict[int, SimProcess] = {}
        """By pid; an ended one is gone at once, nobody leaves zombies here."""

    def start(self, spec: ProcessSpec) -> ProcessId:
        program = self._find(spec)
        if program is None:
            raise EnvironmentLackError(f"cannot start {spec.name}: {spec.argv[0]}: no such program", "install it")
        process_id = ProcessId(next(self._pids), self._loop.now_ns // _TICK_NS)
        self.running[process_id.pid] = SimProcess(self._loop, spec.name, process_id, program, self._ended)
        return process_id

    def alive(self, process: ProcessId) -> bool:
        return self.find(process) is not None

    def signal(self, process: ProcessId, number: int) -> bool:
        found = self.find(process)
        return found is not None and found.signal(number)

    def on_exit(self, process: ProcessId, callback: Callable[[], None]) -> None:
        found = self.find(process)
        if found is None:
            self._loop.call_soon(callback)
        else:
            found.watch(callback)

    def find(self, process: ProcessId) -> SimProcess | None:
        found = self.running.get(process.pid)
        return found if found is not None and found.id == process else None

    def named(self, name: str) -> SimProcess | None:
        """The running process of that name."""
        return next((process for process in self.running.values() if process.name == name), None)

    def _ended(self, process: SimProcess) -> None:
        self.running.pop(process.id.pid, None)
        self._on_end(process)


def delayed(program: Program, start_ns: int) -> Program:
    """A program that needs time to start, as interpreters do."""

    async def run() -> None:
        await asyncio.sleep(start_ns / SECOND)
        await program()

    return run


def is_users_mistake(error: BaseException | None) -> bool:
    """Whether a program ended with an error that it explains itself."""
    return isinstance(error, NetctlError)
