"""A program that has ended is not started again while its file is there; whose drill it is says the file's content."""

from __future__ import annotations

import contextlib
from pathlib import Path

from netctl.fault.faults import ProcessHold
from netctl.model.errors import EnvironmentLackError


def holder(path: Path) -> str | None:
    """The id in the file; None: there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return None


def check_free(fault: ProcessHold, identifier: str) -> None:
    """Raises EnvironmentLackError when somebody else keeps it down already."""
    found = holder(Path(fault.file))
    if found is not None and found != identifier:
        raise EnvironmentLackError(
            f"{fault.name} on {fault.node} is held down already, by {found or 'nobody knows whom'}",
            f"if that is over: rm {fault.file}",
        )


def hold(fault: ProcessHold, identifier: str) -> None:
    """All of the file or none of it: one without an id would be nobody's."""
    path = Path(fault.file)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.parent.parent / f".{fault.node}-{fault.name}.new"
    fresh.write_text(f"{identifier}\n", encoding="utf-8")
    fresh.replace(path)


def release(fault: ProcessHold, identifier: str) -> list[str]:
    """What could not be done, in words."""
    path = Path(fault.file)
    try:
        if holder(path) == identifier:
            path.unlink(missing_ok=True)
    except OSError as error:
        return [f"{fault.name} on {fault.node} is still held down: {error}"]
    return []


def sweep(folder: Path, identifier: str) -> list[str]:
    """Release whatever that drill holds down, as NODE/NAME: for a journal that cannot be read."""
    released = []
    for path in sorted(folder.glob("*/*")):
        with contextlib.suppress(OSError):
            if holder(path) == identifier:
                path.unlink(missing_ok=True)
                released.append(f"{path.parent.name}/{path.name}")
    return released
