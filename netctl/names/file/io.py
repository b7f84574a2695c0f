"""The registry that reads a file again whenever it changes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from netctl.config.io import read_text
from netctl.config.problem import ConfigError
from netctl.model.controller import SourceSettings
from netctl.model.ports import Changed, Listed, Lost, RegistryEvent
from netctl.names.file.document import read_entries

POLL_S = 0.025
"""How often the file is looked at. Polling, because it also works on network file systems, through symbolic links that
are swapped (ConfigMap volumes) and for a file that is not there yet."""

_Stamp = tuple[int, ...]


class FileRegistry:
    """The ``Registry`` port on a YAML file.

    A file that was put in place by rename is read at once, one that is written in place when it has been the same for
    one look. While it is missing or cannot be understood it is Lost, and what it said before stands.
    """

    def __init__(self, settings: SourceSettings) -> None:
        if settings.file is None:
            raise ValueError(f"source {settings.name} is no file")
        self._path = settings.file.path

    async def follow(self, take: Callable[[RegistryEvent], None]) -> None:
        entries: dict[str, bytes] | None = None
        seen: _Stamp = ()
        done: _Stamp = ()
        lost, revision = "", 0
        while True:
            stamp = _stamp(self._path)
            settled = stamp == seen or stamp[:2] != seen[:2]  # the same as before, or another file
            seen = stamp
            if settled and stamp != done:
                try:
                    fresh = await asyncio.to_thread(self._read)
                except ConfigError as error:
                    done = stamp
                    if lost != (reason := _one_line(error)):
                        lost = reason
                        take(Lost(reason))
                else:
                    # Written to while it was read: what was read may be half of it.
                    if _stamp(self._path) == stamp:
                        done, revision, lost = stamp, revision + 1, ""
                        take(_news(entries, fresh, revision))
                        entries = fresh
            await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        """Nothing is open outside of ``follow``."""

    def _read(self) -> dict[str, bytes]:
        return read_entries(read_text(self._path), self._path)


def _stamp(path: str) -> _Stamp:
    """What changes when the file does: device and inode first."""
    try:
        found = os.stat(path)  # noqa: PTH116 (40 times a second)
    except (OSError, ValueError):
        return (0, 0)
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def _news(before: dict[str, bytes] | None, now: dict[str, bytes], revision: int) -> Listed | Changed:
    if before is None:
        return Listed(now, revision)
    puts = {key: value for key, value in now.items() if before.get(key) != value}
    return Changed(puts, frozenset(before.keys() - now.keys()), revision)


def _one_line(error: ConfigError) -> str:
    first = str(error.problems[0])
    more = len(error.problems) - 1
    return f"{first} (and {more} more)" if more else first
