"""A YAML file as a registry."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from netctl.config.problem import ConfigError
from netctl.model.controller import FileSource, SourceSettings
from netctl.model.ports import Changed, Listed, Lost
from netctl.names.file.document import read_entries
from netctl.names.file.io import FileRegistry
from tests.names.follower import following, listed

ONE = """\
version: 1
services:
  orders:
    instances:
      vm1: {address: 10.1.1.10, ports: {http: 80}}
"""
TWO = ONE + "      vm2: {address: 10.1.2.10, ports: {http: 80}}\n"
VM1 = b'{"address":"10.1.1.10","ports":{"http":80}}'
VM2 = b'{"address":"10.1.2.10","ports":{"http":80}}'


def registry(path: Path) -> FileRegistry:
    return FileRegistry(SourceSettings("legacy", file=FileSource(str(path))))


def test_entries_are_those_of_any_registry() -> None:
    assert read_entries(TWO, "vms.yaml") == {"orders/vm1": VM1, "orders/vm2": VM2}
    assert read_entries("services: {}", "vms.yaml") == {}


def test_what_is_wrong_with_an_instance_alone_is_left_to_its_reader() -> None:
    text = 'services: {orders: {instances: {vm1: 5, "x/y": {weight: .nan}, vm3: {a: "\\ud800"}}}}'
    assert read_entries(text, "vms.yaml") == {
        "orders/vm1": b"5",
        "orders/x/y": b'{"weight":NaN}',
        "orders/vm3": b'{"a":"\\ud800"}',
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "vms.yaml:1:1: is empty; a file without services says so: 'services: {}'"),
        ("# nothing\n", "is empty"),
        ("- a", "vms.yaml:1:1: must be a mapping"),
        ("version: 1", "services is missing"),
        ("version: 2\nservices: {}", "vms.yaml:1:10: version: is not known (value 2); allowed: 1"),
        ("servces: {}", "vms.yaml:1:1: servces: unknown key; allowed: version, services; did you mean 'services'?"),
        ("services: []", "vms.yaml:1:11: services: must be a mapping"),
        ("services:\n  orders:\n", "vms.yaml:2:3: services.orders: must be a mapping (KEY: VALUE lines) (value null)"),
        ("services:\n  orders: {}\n", "vms.yaml:2:3: services.orders: instances is missing"),
        ("services: {orders: {instances: 7}}", "services.orders.instances: must be a mapping"),
        ("services: {orders: {instance: {}}}", "did you mean 'instances'?"),
        ("services: {a: {instances: {}}, a: {instances: {}}}", "duplicate key"),
        ("services: {orders: {instances: {vm1: {address: 10.", "is not YAML"),
        ("services:\n\torders: {}", "a tab indents"),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_entries(text, "vms.yaml")
    assert said in refused.value.message


async def test_a_change_is_noticed_within_100_ms_however_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "vms.yaml"
    path.write_text(ONE)
    async with following(registry(path)) as follower:
        await follower.until(lambda: listed(follower))
        delays = []
        for number in range(10):
            text, rename = (TWO if number % 2 == 0 else ONE), number % 4 < 2
            (tmp_path / "new" if rename else path).write_text(text)
            if rename:
                (tmp_path / "new").rename(path)
            started = time.monotonic()
            wanted = 2 if text is TWO else 1
            await follower.until(lambda wanted=wanted: len(follower.values) == wanted)  # type: ignore[misc]
            delays.append(time.monotonic() - started)
        assert sorted(delays)[len(delays) // 2] < 0.1


async def test_a_file_that_grows_while_it_is_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "vms.yaml"
    path.write_text(TWO)
    async with following(registry(path)) as follower:
        await follower.until(lambda: listed(follower))
        with path.open("w") as file:  # empties it
            for line in ONE.splitlines(keepends=True):
                file.write(line)
                file.flush()
                await asyncio.sleep(0.005)
        await follower.until(lambda: len(follower.values) == 1)
        assert [type(event) for event in follower.events] == [Listed, Changed]


@pytest.mark.parametrize("how", ["missing", "empty", "broken", "folder", "fifo", "binary", "huge"])
async def test_a_file_that_cannot_be_read_is_lost_with_its_name_and_removes_nothing(tmp_path: Path, how: str) -> None:
    path = tmp_path / "vms.yaml"
    path.write_text(TWO)
    async with following(registry(path)) as follower:
        await follower.until(lambda: listed(follower))
        path.unlink()
        match how:
            case "empty":
                path.write_text("")
            case "broken":
                path.write_text(TWO[:-20])
            case "folder":
                path.mkdir()
            case "fifo":
                os.mkfifo(path)
            case "binary":
                path.write_bytes(b"\xff\x00")
            case "huge":
                path.write_bytes(b"#" * 1_048_577)
        await follower.until(lambda: bool(follower.lost) and (how == "missing" or "No such file" not in follower.lost))
        assert str(path) in follower.lost
        assert "\n" not in follower.lost
        assert len(follower.values) == 2
        path.rmdir() if how == "folder" else path.unlink(missing_ok=True)
        path.write_text(ONE)
        await follower.until(lambda: len(follower.values) == 1)
        assert not follower.lost
        assert isinstance(follower.events[-1], Changed)


async def test_another_mistake_in_the_file_is_said_too(tmp_path: Path) -> None:
    path = tmp_path / "vms.yaml"
    path.write_text("services: []")
    async with following(registry(path)) as follower:
        await follower.until(lambda: "vms.yaml:1:11" in follower.lost)
        path.write_text("version: 1\nservices: []")
        await follower.until(lambda: "vms.yaml:2:11" in follower.lost)
        assert [type(event) for event in follower.events] == [Lost, Lost]


async def test_a_symbolic_link_that_is_swapped_is_followed(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(ONE)
    (tmp_path / "two.yaml").write_text(TWO)
    path = tmp_path / "vms.yaml"
    path.symlink_to("one.yaml")
    async with following(registry(path)) as follower:
        await follower.until(lambda: len(follower.values) == 1)
        (tmp_path / "fresh").symlink_to("two.yaml")
        (tmp_path / "fresh").rename(path)
        await follower.until(lambda: len(follower.values) == 2)
