"""The guardian's loop, and undoing from a journal when no guardian lives."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import msgspec
from msgspec import Struct

from netctl.fault import io, journal
from netctl.fault.guardian import Effect, Event, Guardian, State
from netctl.fault.held import io as held
from netctl.fault.lock.io import take
from netctl.model.clock import SECOND
from netctl.model.errors import NetctlError
from netctl.model.io import FileStore


class Said(Struct, frozen=True):
    """One line of the guardian on standard output. ``event``: ready, injected, inject_failed, undone, undo_failed.

    ``from_ns``/``to_ns``: CLOCK_MONOTONIC just before the first and just after the last step.
    """

    event: str
    from_ns: int = 0
    to_ns: int = 0
    cause: str = ""
    problems: tuple[str, ...] = ()


class GuardianShell:
    """Holds one journal, and the guardians' lock for as long as this process lives."""

    def __init__(self, path: Path, say: Callable[[Said], None]) -> None:
        self._store = FileStore(path.parent)
        self._name = path.name
        self._say = say
        self._lock = take(path.parent)
        try:
            self._journal = journal.decode(self._store.read(self._name) or b"")
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def closed(self) -> bool:
        return not self._journal.open

    def prepare(self) -> None:
        """Capture what is there and have it on disk. Raises NetctlError."""
        before = tuple(io.capture(fault, self._journal.id) for fault in self._journal.faults)
        self._save(msgspec.structs.replace(self._journal, before=before))
        self._say(Said("ready"))

    def run(self, descriptor: int) -> int:
        """Commands (inject, undo; one a line) from ``descriptor`` until the end; the exit code."""
        guardian = Guardian(self._journal.deadline_ns)
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _noted)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.register(reader, select.POLLIN)
        while True:
            due_ns = guardian.next_timer()
            wait_ms = None if due_ns is None else max(0, (due_ns - time.monotonic_ns()) // 1_000_000 + 1)
            events: list[Event] = []
            for ready, _mask in poll.poll(wait_ms):
                if ready == reader:
                    os.read(reader, 64)
                    events.append(Event.SIGNALLED)
                    continue
                words = os.read(descriptor, 4096).split()
                if not words:
                    poll.unregister(descriptor)
                events += [Event(word.decode()) for word in words if word in (b"inject", b"undo")] or [
                    Event.RUNNER_GONE
                ]
            if expired := guardian.expired(time.monotonic_ns()):
                events.append(expired)
            for event in events:
                if (code := self._react(guardian, event)) is not None:
                    return code

    def undo_now(self) -> int:
        """Undo what the journal says, without listening to anyone; the exit code (0, 5)."""
        guardian = Guardian(0)
        code = self._react(guardian, Event.UNDO)
        while code is None:
            if (due_ns := guardian.next_timer()) is not None:
                time.sleep(max(0, due_ns - time.monotonic_ns()) / SECOND)
            if expired := guardian.expired(time.monotonic_ns()):
                code = self._react(guardian, expired)
        return code

    def _react(self, guardian: Guardian, event: Event) -> int | None:
        """Carry an event through to the end of its effects; an exit code when it is time to leave."""
        following: Event | None = event
        while following is not None and guardian.state is not State.DONE:
            effect = guardian.handle(following, time.monotonic_ns())
            following = None
            if effect is Effect.INJECT:
                following = self._inject()
            elif effect is Effect.UNDO:
                following = self._undo(guardian)
            elif effect is Effect.CLOSE:
                return 0
            elif effect is Effect.GIVE_UP:
                return 5
        return None

    def _inject(self) -> Event | None:
        from_ns = time.monotonic_ns()
        try:
            for fault, known in zip(self._journal.faults, self._journal.before, strict=True):
                io.inject(fault, self._journal.id, known)
        except (OSError, NetctlError) as error:
            self._say(Said("inject_failed", from_ns, time.monotonic_ns(), problems=(str(error),)))
            return Event.INJECT_FAILED
        self._say(Said("injected", from_ns, time.monotonic_ns()))
        return None

    def _undo(self, guardian: Guardian) -> Event:
        from_ns = time.monotonic_ns()
        problems = _take_back(self._journal)
        to_ns = time.monotonic_ns()
        if problems:
            self._say(Said("undo_failed", from_ns, to_ns, guardian.cause, tuple(problems)))
            return Event.UNDO_FAILED
        self._close(guardian.cause)
        self._say(Said("undone", from_ns, to_ns, guardian.cause))
        return Event.UNDONE

    def _close(self, cause: str) -> None:
        """Nothing is left to undo. On a full disk the journal can still be removed, which says the same."""
        try:
            self._save(msgspec.structs.replace(self._journal, open=False, closed_by=cause))
        except NetctlError:
            self._store.delete(self._name)

    def _save(self, changed: journal.Journal) -> None:
        self._journal = changed
        copy = changed.id + journal.SAVED
        if journal.keeps_content(changed):
            self._store.write(copy, journal.encode(changed))
        self._store.write(self._name, journal.encode(changed))
        if not changed.open:
            self._store.delete(copy)


def _take_back(document: journal.Journal) -> list[str]:
    """In the reverse order; what could not be taken back, in words."""
    before = document.before or (None,) * len(document.faults)
    problems: list[str] = []
    for fault, known in reversed(list(zip(document.faults, before, strict=True))):
        problems += io.undo(fault, known, document.id)
    return problems


def recover_damaged(path: Path, say: Callable[[Said], None]) -> int:
    """A journal that cannot be read: take back everything that bears our mark or is stopped, then set it aside.

    Raises RestoreFailedError when the guardian that holds it does not end.
    """
    lock = take(path.parent)
    from_ns = time.monotonic_ns()
    try:
        if not path.exists():
            return 0  # another one was quicker
        found = [f"mended {end}" for end in io.sweep()] + [f"continued {who}" for who in io.continue_stopped()]
        found += [f"let {who} start" for who in held.sweep(path.parent.parent / "held", path.stem)]
        copy = path.with_suffix(journal.SAVED)
        with contextlib.suppress(OSError, journal.DamagedJournalError):
            document = journal.decode(copy.read_bytes())
            if problems := _take_back(document):
                say(Said("undo_failed", from_ns, time.monotonic_ns(), "damaged", tuple(problems)))
                return 5
            found += [f"took back: {fault}" for fault in document.faults]
            copy.unlink(missing_ok=True)
        path.replace(path.with_suffix(".damaged"))
    except (OSError, NetctlError) as error:
        say(Said("undo_failed", from_ns, time.monotonic_ns(), "damaged", (str(error),)))
        return 5
    finally:
        os.close(lock)
    say(Said("undone", from_ns, time.monotonic_ns(), "damaged", tuple(found)))
    return 0


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The wake-up descriptor tells the loop."""


def print_line(said: Said) -> None:
    """One JSON line; a reader that is gone changes nothing."""
    try:
        sys.stdout.write(msgspec.json.encode(said).decode() + "\n")
        sys.stdout.flush()
    except OSError:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (until the end of the process)
