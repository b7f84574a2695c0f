"""What befalls a real control plane: its parts are killed, stopped, and put back from a backup."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from netctl.kube.follow.io import follow
from netctl.kube.informer import Notice, Recovered, Relisted, Trouble
from netctl.kube.leading.io import keep_lease
from netctl.kube.lease import LeaseMachine
from netctl.model.clock import SECOND
from netctl.model.io import SystemClock
from netctl.model.kube import CONFIG_MAPS, KubeError, KubeEvent
from netctl.model.ports import KubeApi
from tests.contract.clusters import Namespace, real_namespace, until
from tests.real.kube import RealKube


@pytest.fixture(scope="module")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKube]:
    """One that may be killed."""
    own = RealKube(tmp_path_factory.mktemp("kube"))
    own.start()
    yield own
    own.stop()


class Cache:
    """The names of ConfigMaps, as they are told."""

    def __init__(self, api: KubeApi, namespace: str) -> None:
        self.names: set[str] = set()
        self.notices: list[Notice] = []
        self.task = asyncio.create_task(follow(api, CONFIG_MAPS, namespace, self._take))

    def _take(self, notice: Notice) -> None:
        self.notices.append(notice)
        match notice:
            case Relisted(items):
                self.names = {item["metadata"]["name"] for item in items}
            case KubeEvent("DELETED", item):
                self.names.discard(item["metadata"]["name"])
            case KubeEvent(_, item):
                self.names.add(item["metadata"]["name"])

    def count(self, kind: type[Notice]) -> int:
        return sum(isinstance(notice, kind) for notice in self.notices)


@asynccontextmanager
async def following(kube: RealKube, folder: Path) -> AsyncIterator[tuple[Namespace, Cache]]:
    namespace = real_namespace(folder, kube)
    cache = Cache(namespace.api, namespace.name)
    await until(lambda: cache.count(Relisted) == 1)
    try:
        yield namespace, cache
    finally:
        cache.task.cancel()
        await asyncio.gather(cache.task, return_exceptions=True)
        await namespace.api.close()


async def make(namespace: Namespace, name: str) -> None:
    await namespace.api.create(CONFIG_MAPS, namespace.name, {"metadata": {"name": name}})


async def start(kube: RealKube, part: str) -> None:
    kube.launch(part)
    await asyncio.to_thread(kube.wait_for, part)


async def test_killed_parts_are_told_and_what_was_missed_is_made_up_for_when_they_are_back(
    kube: RealKube, tmp_path: Path
) -> None:
    async with following(kube, tmp_path) as (namespace, cache):
        await make(namespace, "before")
        await until(lambda: "before" in cache.names)
        kube.kill("kube-apiserver")
        await until(lambda: cache.count(Trouble) == 1)
        kube.kill("etcd")
        assert "before" in cache.names
        await start(kube, "etcd")
        await start(kube, "kube-apiserver")
        await make(namespace, "after")
        await until(lambda: "after" in cache.names, within_s=3)
        assert cache.count(Recovered) == 1
        assert "before" in cache.names


async def test_etcd_alone_being_away_makes_writes_fail_and_all_is_well_again_when_it_is_back(
    kube: RealKube, tmp_path: Path
) -> None:
    async with following(kube, tmp_path) as (namespace, cache):
        kube.kill("etcd")
        with pytest.raises(KubeError):
            await make(namespace, "while-away")
        await start(kube, "etcd")

        async def writable() -> bool:
            try:
                await make(namespace, "after")
            except KubeError:
                return "after" in cache.names
            return True

        await until(writable)
        await until(lambda: "after" in cache.names)


async def test_a_backup_put_back_is_noticed_although_the_api_server_keeps_quiet_about_it(
    kube: RealKube, tmp_path: Path
) -> None:
    data, backup = kube.folder / "etcd", tmp_path / "backup"
    async with following(kube, tmp_path) as (namespace, cache):
        await make(namespace, "before")
        kube.kill("etcd")
        shutil.copytree(data, backup)
        await start(kube, "etcd")

        async def filled() -> bool:
            for number in range(40):
                try:
                    await make(namespace, f"later{number}")
                except KubeError:
                    continue
            return "later39" in cache.names

        await until(filled, within_s=20)
        kube.kill("kube-apiserver")
        kube.kill("etcd")
        shutil.rmtree(data)
        shutil.copytree(backup, data)
        await start(kube, "etcd")
        await start(kube, "kube-apiserver")
        await until(lambda: "later39" not in cache.names)
        assert "before" in cache.names
        assert any(isinstance(notice, Relisted) and notice.restored for notice in cache.notices)
        await make(namespace, "since")
        await until(lambda: "since" in cache.names)


async def test_an_api_server_that_is_stuck_costs_the_right_to_write_in_time_and_no_longer_than_it_lasts(
    kube: RealKube, tmp_path: Path
) -> None:
    namespace = real_namespace(tmp_path, kube)
    clock, machine = SystemClock(), LeaseMachine("c1", 3 * SECOND)

    def may_write() -> bool:
        return machine.may_write(clock.monotonic_ns())

    task = asyncio.create_task(keep_lease(namespace.api, namespace.name, machine, clock, lambda: None))
    await until(may_write)
    stopped_ns = clock.monotonic_ns()
    kube.kill("kube-apiserver", signal.SIGSTOP)
    try:
        await until(lambda: not machine.leading and not may_write())
        assert clock.monotonic_ns() - stopped_ns < 3 * SECOND
    finally:
        kube.kill("kube-apiserver", signal.SIGCONT)
    await until(may_write)
    assert machine.epoch == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await namespace.api.close()
