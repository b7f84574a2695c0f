"""``Store`` in memory, with a disk that can be full."""

from __future__ import annotations

import re

from netctl.model.errors import EnvironmentLackError

_SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


class FakeStore:
    """Documents that outlive every process. ``full``: how many faults fill the disk now; then writes
    fail and leave the old content."""

    def __init__(self) -> None:
        self._documents: dict[str, bytes] = {}
        self.full = 0

    def read(self, name: str) -> bytes | None:
        return self._documents.get(_checked(name))

    def write(self, name: str, data: bytes) -> None:
        _checked(name)
        if self.full:
            raise EnvironmentLackError(
                f"cannot write {name}: No space left on device", "check free space and who may write there"
            )
        self._documents[name] = bytes(data)

    def delete(self, name: str) -> None:
        self._documents.pop(_checked(name), None)

    def names(self) -> list[str]:
        return sorted(self._documents)


def _checked(name: str) -> str:
    if not _SAFE_NAME.fullmatch(name):
        raise ValueError(f"not a document name: {name!r}")
    return name
