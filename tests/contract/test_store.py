"""What every ``Store`` promises, on files and on the simulator's."""

from __future__ import annotations

from pathlib import Path

import pytest

from netctl.model.errors import EnvironmentLackError
from netctl.model.io import FileStore
from netctl.model.ports import Store
from netctl.sim.store import FakeStore


@pytest.fixture(params=["real", "fake"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return FileStore(tmp_path / "documents") if request.param == "real" else FakeStore()


def break_disk(store: Store, tmp_path: Path) -> None:
    """Make the next write fail: the folder becomes a file (also root cannot write into that)."""
    if isinstance(store, FakeStore):
        store.full = 1
        return
    folder = tmp_path / "documents"
    folder.rename(tmp_path / "kept")
    folder.write_text("in the way")


def mend_disk(store: Store, tmp_path: Path) -> None:
    if isinstance(store, FakeStore):
        store.full = 0
        return
    (tmp_path / "documents").unlink()
    (tmp_path / "kept").rename(tmp_path / "documents")


def test_what_was_written_is_read_and_the_latest_wins(store: Store) -> None:
    assert store.read("state.json") is None
    store.write("state.json", b"one")
    store.write("state.json", b"two")
    assert store.read("state.json") == b"two"


def test_names_are_sorted_and_complete(store: Store) -> None:
    assert store.names() == []
    for name in ("b", "a.json", "c-1_x"):
        store.write(name, b"")
    assert store.names() == ["a.json", "b", "c-1_x"]


def test_a_deleted_document_is_gone_and_deleting_again_harms_nothing(store: Store) -> None:
    store.write("x", b"1")
    store.delete("x")
    store.delete("x")
    assert store.read("x") is None
    assert store.names() == []


def test_a_write_that_fails_says_so_and_leaves_the_old_content(store: Store, tmp_path: Path) -> None:
    store.write("x", b"old")
    break_disk(store, tmp_path)
    with pytest.raises(EnvironmentLackError, match="cannot write"):
        store.write("x", b"new")
    mend_disk(store, tmp_path)
    assert store.read("x") == b"old"
    assert store.names() == ["x"]


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "with space"])
def test_a_name_that_could_leave_the_folder_is_refused(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        store.write(name, b"")
