"""What every ``Registry`` promises, on a real etcd, on the fake one, and, where it makes sense, on a file."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from netctl.model.controller import FileSource, SourceSettings
from netctl.model.io import SystemClock
from netctl.model.ports import Changed, Listed, Lost, Registry
from netctl.names.etcd.client.io import EtcdClient
from netctl.names.fake.io import FakeRegistry
from netctl.names.fake.store import FakeEtcd
from netctl.names.io import open_registry
from tests.names.follower import following, listed
from tests.real.etcd import RealEtcd

VM = b'{"address":"10.1.1.10","ports":{"http":80}}'
OTHER = b'{"address":"10.1.2.10","ports":{"http":80}}'


class Backend(Protocol):
    """A registry and its owner's side."""

    def registry(self) -> Registry: ...
    async def put(self, key: str, value: bytes) -> None: ...
    async def delete(self, *keys: str) -> None:
        """All at one moment."""

    async def go_away(self) -> None: ...
    async def come_back(self) -> None: ...
    async def close(self) -> None: ...


class FakeBackend:
    def __init__(self) -> None:
        self.etcd = FakeEtcd(SystemClock())

    def registry(self) -> Registry:
        return FakeRegistry(self.etcd)

    async def put(self, key: str, value: bytes) -> None:
        self.etcd.put(key, value)

    async def delete(self, *keys: str) -> None:
        self.etcd.delete(keys[0]) if len(keys) == 1 else self.etcd.delete_prefix(keys[0].partition("/")[0] + "/")

    async def go_away(self) -> None:
        self.etcd.go_away()

    async def come_back(self) -> None:
        self.etcd.come_back()

    async def close(self) -> None:
        pass


class EtcdBackend:
    def __init__(self, etcd: RealEtcd) -> None:
        self.etcd = etcd
        self.source = etcd.source()
        assert self.source.etcd is not None
        self.client = EtcdClient(self.source.etcd)

    def registry(self) -> Registry:
        return open_registry(self.source)

    async def put(self, key: str, value: bytes) -> None:
        await self.client.put(f"/vm/{key}", value)

    async def delete(self, *keys: str) -> None:
        if len(keys) == 1:
            await self.client.delete(f"/vm/{keys[0]}")
        else:
            await self.client.delete(f"/vm/{keys[0].partition('/')[0]}/", prefix=True)

    async def go_away(self) -> None:
        self.etcd.kill()

    async def come_back(self) -> None:
        self.etcd.launch()
        await asyncio.to_thread(self.etcd.wait)

    async def close(self) -> None:
        await self.client.close()


class FileBackend:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, bytes] = {}
        self.write()

    def registry(self) -> Registry:
        return open_registry(SourceSettings("legacy", file=FileSource(str(self.path))))

    def write(self) -> None:
        services: dict[str, dict[str, dict[str, object]]] = {}
        for key, value in self.entries.items():
            service, _, name = key.partition("/")
            services.setdefault(service, {"instances": {}})["instances"][name] = json.loads(value)
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps({"version": 1, "services": services}))
        fresh.rename(self.path)

    async def put(self, key: str, value: bytes) -> None:
        self.entries[key] = value
        self.write()

    async def delete(self, *keys: str) -> None:
        for key in keys:
            del self.entries[key]
        self.write()

    async def go_away(self) -> None:
        self.path.unlink()

    async def come_back(self) -> None:
        self.write()

    async def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEtcd]:
    with RealEtcd(tmp_path_factory.mktemp("etcd")) as one:
        yield one


@pytest.fixture(params=["etcd", "fake", "file"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    if request.param == "etcd":
        etcd: RealEtcd = request.getfixturevalue("etcd")
        one: Backend = EtcdBackend(etcd)
        assert isinstance(one, EtcdBackend)
        await one.client.delete("", prefix=True)
    else:
        one = FakeBackend() if request.param == "fake" else FileBackend(tmp_path / "vms.yaml")
    yield one
    await one.close()


async def test_first_comes_everything_then_each_change(backend: Backend) -> None:
    await backend.put("orders/vm1", VM)
    async with following(backend.registry()) as follower:
        await follower.until(lambda: listed(follower))
        assert isinstance(follower.events[0], Listed)
        assert follower.values == {"orders/vm1": VM}
        await backend.put("orders/vm2", OTHER)
        await follower.until(lambda: len(follower.values) == 2)
        await backend.put("orders/vm1", OTHER)
        await follower.until(lambda: follower.values["orders/vm1"] == OTHER)
        await backend.delete("orders/vm1")
        await follower.until(lambda: "orders/vm1" not in follower.values)
        assert follower.values == {"orders/vm2": OTHER}
        assert [type(event) for event in follower.events] == [Listed, Changed, Changed, Changed]
        revisions = [event.revision for event in follower.events if not isinstance(event, Lost)]
        assert revisions == sorted(set(revisions))


async def test_a_registry_that_holds_nothing_says_so(backend: Backend) -> None:
    async with following(backend.registry()) as follower:
        await follower.until(lambda: bool(follower.events))
        assert isinstance(follower.events[0], Listed)
        assert follower.events[0].entries == {}


async def test_what_is_deleted_at_one_moment_is_one_change(backend: Backend) -> None:
    for number in range(3):
        await backend.put(f"orders/vm{number}", VM)
    async with following(backend.registry()) as follower:
        await follower.until(lambda: listed(follower))
        await backend.delete("orders/vm0", "orders/vm1", "orders/vm2")
        await follower.until(lambda: len(follower.events) == 2)
        last = follower.events[1]
        assert isinstance(last, Changed)
        assert not last.puts
        assert set(last.deletes) == {"orders/vm0", "orders/vm1", "orders/vm2"}


async def test_an_outage_is_said_once_and_removes_nothing(backend: Backend) -> None:
    await backend.put("orders/vm1", VM)
    async with following(backend.registry()) as follower:
        await follower.until(lambda: listed(follower))
        await backend.go_away()
        await follower.until(lambda: bool(follower.lost))
        assert "\n" not in follower.lost
        assert follower.values == {"orders/vm1": VM}
        started = time.monotonic()
        await backend.come_back()
        await follower.until(lambda: not follower.lost)
        assert time.monotonic() - started < 10
        assert follower.values == {"orders/vm1": VM}
        await backend.put("orders/vm2", OTHER)
        await follower.until(lambda: len(follower.values) == 2)
        assert len([event for event in follower.events if isinstance(event, Lost)]) == 1


async def test_one_that_is_away_from_the_start_is_lost_and_followed_when_it_comes(backend: Backend) -> None:
    await backend.put("orders/vm1", VM)
    await backend.go_away()
    async with following(backend.registry()) as follower:
        await follower.until(lambda: bool(follower.events))
        assert isinstance(follower.events[0], Lost)
        await backend.come_back()
        await follower.until(lambda: listed(follower))
        assert follower.values == {"orders/vm1": VM}


async def test_two_followers_see_the_same(backend: Backend) -> None:
    async with following(backend.registry()) as one, following(backend.registry()) as two:
        await one.until(lambda: listed(one))
        await two.until(lambda: listed(two))
        await backend.put("orders/vm1", VM)
        await one.until(lambda: bool(one.values))
        await two.until(lambda: bool(two.values))
        assert one.values == two.values == {"orders/vm1": VM}
