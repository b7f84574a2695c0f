"""A virtual-time event loop: asyncio that never waits.

When nothing is ready, time jumps to the next timer. Timers of one instant fire in the order in which they were set,
so a run is a function of its inputs. Every callback belongs to the simulated process in whose context it was
scheduled: a stopped process's callbacks are parked, a dead one's are dropped (which is what kill -9 is: no ``finally``
runs). Threads and real sockets have no place here and are refused.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
import traceback
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar
from itertools import count
from math import ceil
from typing import Any, NoReturn, TypeVar, TypeVarTuple, cast

from netctl.model.clock import SECOND, Timer

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_NS = 1_000 * SECOND
_LIVELOCK_TURNS = 200_000


class SimulationError(Exception):
    """The simulation itself cannot go on: nothing can ever happen again, or time stands still."""


class Owner:
    """What a callback belongs to: one simulated process. Without an owner a callback is the world's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.stopped = False
        self.parked: list[asyncio.Handle] = []
        self._held: dict[int, Callable[[], None]] = {}
        self._numbers = count()

    def hold(self, release: Callable[[], None]) -> Callable[[], None]:
        """Have ``release`` called when the process ends (as a kernel closes descriptors). Returns: forget it."""
        number = next(self._numbers)
        self._held[number] = release
        return lambda: self._held.pop(number, None) and None

    def end(self) -> None:
        """The process is gone: nothing of it runs any more, what it held is released."""
        self.dead = True
        self.parked.clear()
        while self._held:
            self._held.pop(next(iter(self._held)))()


OWNER: ContextVar[Owner | None] = ContextVar("netctl_sim_owner", default=None)


def hold(release: Callable[[], None]) -> Callable[[], None]:
    """``Owner.hold`` for whoever runs now; the world holds for ever."""
    owner = OWNER.get()
    return owner.hold(release) if owner is not None else lambda: None


def world_context() -> Context:
    """A context that belongs to no process: for what goes on when its cause has died (packets in flight)."""
    return Context()


def _held_back(handle: asyncio.Handle, context: Context) -> bool:
    owner = context.get(OWNER)
    if owner is None or not (owner.dead or owner.stopped):
        return False
    if not owner.dead:
        owner.parked.append(handle)
    return True


class _SimHandle(asyncio.Handle):
    __slots__ = ("owned_by",)
    owned_by: Context

    def _run(self) -> None:
        if not _held_back(self, self.owned_by):
            super()._run()


class _SimTimer(asyncio.TimerHandle):
    __slots__ = ("key", "owned_by")
    owned_by: Context
    key: tuple[float, int]

    def _run(self) -> None:
        if not _held_back(self, self.owned_by):
            super()._run()

    def __lt__(self, other: object) -> bool:
        assert isinstance(other, _SimTimer)
        return self.key < other.key


class _JumpingSelector:
    """Stands where asyncio waits for sockets: instead of waiting, it moves the time."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        self._loop.idle(timeout)
        return []


class SimLoop(asyncio.BaseEventLoop):
    """The loop. ``now_ns`` is virtual monotonic time in nanoseconds."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[_SimTimer]

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = START_NS
        self._selector = _JumpingSelector(self)
        self._clock_resolution = 0.5e-9
        self._order = count()
        self._turns = 0
        self._tasks: list[tuple[asyncio.Task[Any], Owner | None]] = []
        self.interrupted: Callable[[], bool] = lambda: False
        """Asked between two turns, when nothing is half done; True ends the run with KeyboardInterrupt."""
        self.errors: list[str] = []
        """What no callback or task caught, in words."""
        self.set_task_factory(cast(Any, self._make_task))
        self.set_exception_handler(self._uncaught)

    # --- time ---

    def time(self) -> float:
        return self.now_ns / SECOND

    def idle(self, timeout: float | None) -> None:
        """Nothing waits for a socket here, so move to the next timer unless something is ready."""
        if self.interrupted():
            raise KeyboardInterrupt
        before_ns = self.now_ns
        if timeout != 0:
            if not self._scheduled:
                raise SimulationError("deadlock: no timer is set and nothing is ready; waiting: " + self._who_waits())
            # Up to the next whole nanosecond, so that a timer between two is reached; what lies within a float's error
            # (0.0001 ns) of a whole one is that one.
            self.now_ns = max(self.now_ns, ceil(self._scheduled[0].when() * SECOND - 0.001))
        self._turns = self._turns + 1 if self.now_ns == before_ns else 0
        if self._turns > _LIVELOCK_TURNS:
            names = sorted({repr(handle)[:200] for handle in list(self._ready)[:20]})
            raise SimulationError(f"time stands still at {self.now_ns} ns; always ready: {'; '.join(names)}")

    def _who_waits(self) -> str:
        lines = []
        for task, owner in self._tasks:
            if task.done() or (owner and owner.dead):
                continue
            frames = task.get_stack(limit=1)
            where = f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else "not started"
            lines.append(f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', '?')} at {where})")
        return "; ".join(lines) or "no task"

    # --- scheduling, with owners ---

    def _call_soon(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> asyncio.Handle:
        handle = _SimHandle(callback, args, self, context)
        handle.owned_by = context if context is not None else handle._context  # type: ignore[attr-defined]
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = _SimTimer(when, callback, args, self, context)
        timer.owned_by = context if context is not None else timer._context  # type: ignore[attr-defined]
        timer.key = (when, next(self._order))
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_at_ns(self, when_ns: int, callback: Callable[..., object], *args: Any, context: Context) -> Timer:
        """``call_at`` in nanoseconds, for the world's own doings."""
        return self.call_at(when_ns / SECOND, callback, *args, context=context)

    def resume(self, owner: Owner) -> None:
        """Let a stopped owner's parked callbacks run, oldest first."""
        owner.stopped = False
        parked, owner.parked = owner.parked, []
        self._ready.extend(parked)

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T], context: Context | None = None
    ) -> asyncio.Task[T]:
        task: asyncio.Task[T] = asyncio.Task(coro, loop=loop, context=context)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        owner = context.get(OWNER) if context is not None else OWNER.get()
        if len(self._tasks) > 4096:
            self._tasks = [entry for entry in self._tasks if not entry[0].done()]
        # Kept also when its owner dies: a collected coroutine would run its ``finally`` clauses, unlike kill -9.
        self._tasks.append((task, owner))
        return task

    def fallen(self) -> list[str]:
        """Tasks that ended with an error, in words, whether somebody has asked for it or not."""
        return [
            f"{task.get_name()}: {error!r} {''.join(traceback.format_exception(error)[-3:])}"
            for task, _ in self._tasks
            if task.done() and not task.cancelled() and (error := task.exception()) is not None
        ]

    def discard(self) -> None:
        """Close for good: unwind what still waits here and now, not some time later when it is collected."""
        for task, owner in self._tasks:
            if owner is not None:
                owner.dead = True
            coroutine = task.get_coro()
            if not task.done() and inspect.iscoroutine(coroutine):
                with suppress(Exception):  # a clean-up that wants a running loop; nobody is there to care
                    coroutine.close()
        self._tasks.clear()
        self._ready.clear()
        self._scheduled.clear()
        self.close()

    def _uncaught(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        where = traceback.format_exception(error)[-3:] if error is not None else []
        self.errors.append(f"{context.get('message')}: {error!r} {''.join(where)}")

    # --- what asyncio asks of a loop, and what has no place here ---

    def _process_events(self, event_list: list[Any]) -> None:
        """No sockets, no events."""

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> NoReturn:  # type: ignore[override]
        raise SimulationError(f"{func!r} wants a thread: not on the virtual-time loop")


class SimClock:
    """``Clock`` on a SimLoop; ``step_wall`` moves the wall clock alone."""

    def __init__(self, loop: SimLoop, wall: float = 1_800_000_000.0) -> None:
        self._loop = loop
        self._offset = wall - loop.now_ns / SECOND

    def monotonic_ns(self) -> int:
        return self._loop.now_ns

    def wall(self) -> float:
        return self._loop.now_ns / SECOND + self._offset

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        return self._loop.call_at(when_ns / SECOND, callback)

    def step_wall(self, seconds: float) -> None:
        self._offset += seconds
