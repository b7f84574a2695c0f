"""What is on disk: who drills now, what has to be taken back, what came out."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from netctl.drill.results import DrillResult
from netctl.drill.site import Site
from netctl.fault import journal
from netctl.fault.shell import Said
from netctl.model.errors import RefusedError, RestoreFailedError
from netctl.model.io import FileStore

_KEPT = 200
_UNDO_WITHIN_S = 60.0


class Lock:
    """One drill at a time: held while this object is open, gone with this process."""

    def __init__(self, folder: Path, what: str) -> None:
        """Raises RefusedError naming who runs what already."""
        folder.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise RefusedError(
                f"another drill runs in this lab: {holder or 'it has just begun'}", "wait for it, or end it with Ctrl-C"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{what} (pid {os.getpid()})\n".encode(), 0)

    @property
    def removed(self) -> bool:
        """Its file is gone, and the folder with it: the lab was taken down."""
        return os.fstat(self._descriptor).st_nlink == 0

    def close(self) -> None:
        os.close(self._descriptor)


def open_journals(site: Site) -> list[str]:
    """Names of journals that are not closed, damaged ones included."""
    store = FileStore(site.folder)
    found = []
    for name in store.names():
        if not name.endswith(journal.SUFFIX):
            continue
        try:
            if not journal.decode(store.read(name) or b"").open:
                continue
        except journal.DamagedJournalError:
            pass
        found.append(name)
    return found


def undo_from_journal(site: Site, name: str) -> list[str]:
    """Undo what one journal says; a guardian of it that still works goes first. What was done, in words.

    Raises RestoreFailedError naming what is left.
    """
    argv = [sys.executable, "-m", "netctl.fault", f"{site.inside}/{name}", "--undo"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = site.popen(None, argv, **pipes, start_new_session=True)  # Ctrl-C at the terminal is not for it
    try:
        output, complaint = process.communicate(timeout=_UNDO_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()  # not its output: what it became may still hold the pipes
        process.wait()
        output, complaint = b"", b"it did not answer in time"
    said = [msgspec.json.decode(line, type=Said) for line in output.splitlines()]
    if process.returncode == 0:
        return [what for line in said for what in line.problems or (_undone_words(site, name),)]
    if name not in open_journals(site):
        return []  # somebody else did
    left = [what for line in said[-1:] for what in line.problems] or [complaint.decode(errors="replace").strip()]
    raise RestoreFailedError(
        f"{name.removesuffix(journal.SUFFIX)}: not taken back: {'; '.join(left)}",
        "try again: netctl drill recover; netctl lab down ends every fault with the lab",
    )


def _undone_words(site: Site, name: str) -> str:
    try:
        document = journal.decode(FileStore(site.folder).read(name) or b"")
    except journal.DamagedJournalError:
        return name
    return "; ".join(f"took back: {fault}" for fault in document.faults)


def save_result(site: Site, result: DrillResult, lock: Lock) -> None:
    """Keep it, and drop the oldest of those kept. A lab that was taken down meanwhile gets no files any more.

    Raises EnvironmentLackError or OSError when there is no room for it.
    """
    if lock.removed:
        return
    store = FileStore(site.folder)
    store.write(f"{result.id}.json", msgspec.json.format(msgspec.json.encode(result), indent=2))
    if lock.removed:  # in this very moment, and writing has made the folder anew
        with contextlib.suppress(OSError):
            (site.folder / f"{result.id}.json").unlink()
            os.removedirs(site.folder)
        return
    results = [name for name in store.names() if name.endswith(".json")]
    still_open = open_journals(site)
    for name in sorted(results, key=lambda n: (site.folder / n).stat().st_mtime)[:-_KEPT]:
        identifier = name.removesuffix(".json")
        if journal.document_name(identifier) not in still_open:
            store.delete(name)
            store.delete(journal.document_name(identifier))
            store.delete(identifier + journal.SAVED)
            store.delete(f"{identifier}.log")


def load_results(folder: Path) -> list[DrillResult]:
    """Every result that is kept and can be read, oldest first."""
    store = FileStore(folder)
    found = []
    for name in store.names():
        if name.endswith(".json"):
            with contextlib.suppress(msgspec.DecodeError):
                found.append(msgspec.json.decode(store.read(name) or b"", type=DrillResult))
    return sorted(found, key=lambda result: result.started_wall)


def recover(site: Site) -> list[str]:
    """Take back whatever any earlier drill left; what was done, in words.

    Raises RefusedError while a drill runs, RestoreFailedError when something is left (after trying all).
    """
    lock = Lock(site.folder, "recover")
    done: list[str] = []
    failures: list[RestoreFailedError] = []
    try:
        for name in open_journals(site):
            try:
                done += undo_from_journal(site, name)
            except RestoreFailedError as error:
                failures.append(error)
    finally:
        lock.close()
    if failures:
        raise RestoreFailedError("; ".join(error.message for error in failures), failures[0].hint)
    return done
