"""A lab's files go, whoever still writes there."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest

from netctl.lab.removal import remove


def test_what_is_written_during_the_removal_goes_too(tmp_path: Path) -> None:
    state_dir = tmp_path / "labs" / "x"
    drills = state_dir / "run" / "drills"
    drills.mkdir(parents=True)
    (state_dir / "lock").touch()
    enough = threading.Event()

    def write() -> None:
        for number in range(400):
            with contextlib.suppress(OSError):
                drills.mkdir(parents=number < 200, exist_ok=True)  # the first half makes all of it anew
                (drills / f"{number}.json").write_bytes(b"{}")
            if number == 200:
                enough.set()
        enough.set()

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        if state_dir.exists():
            remove(state_dir)
    writer.join()
    if state_dir.exists():
        remove(state_dir)
    assert not state_dir.exists()
    assert not state_dir.parent.exists()


def test_what_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").mkdir()

    def refuse(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr("netctl.lab.removal.shutil.rmtree", refuse)
    with pytest.raises(PermissionError):
        remove(tmp_path)
