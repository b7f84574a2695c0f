"""The accidents of a real etcd: killed, stopped, replaced, compacted, full of nonsense."""

from __future__ import annotations

import asyncio
import base64
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from netctl.model.controller import EtcdSource, SourceSettings
from netctl.model.ports import Changed, Listed, Lost
from netctl.names.catalog import Merger
from netctl.names.etcd.client.io import EtcdClient, EtcdError
from netctl.names.etcd.io import EtcdRegistry
from tests.names.follower import following, listed
from tests.names.relay import Relay
from tests.real.etcd import RealEtcd, free_port

VM = b'{"address":"10.1.1.10","ports":{"http":80},"cloud":"a"}'


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEtcd]:
    with RealEtcd(tmp_path_factory.mktemp("etcd")) as one:
        yield one


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RealEtcd]:
    """For tests that break it."""
    with RealEtcd(tmp_path / "etcd") as one:
        yield one


@asynccontextmanager
async def client_of(source: SourceSettings) -> AsyncIterator[EtcdClient]:
    assert source.etcd is not None
    client = EtcdClient(source.etcd)
    try:
        yield client
    finally:
        await client.close()


async def fill(client: EtcdClient, prefix: str, count: int) -> None:
    """Many keys, 100 to a transaction."""
    await client.count(prefix)
    assert client._session is not None
    for start in range(0, count, 100):
        puts = [
            {"request_put": {"key": base64.b64encode(f"{prefix}orders/vm{n}".encode()).decode(), "value": "e30="}}
            for n in range(start, min(start + 100, count))
        ]
        async with client._session.post(f"{client.endpoint}/v3/kv/txn", json={"success": puts}) as answer:
            assert answer.status == 200, await answer.text()


async def test_a_put_is_told_within_a_few_milliseconds(shared: RealEtcd) -> None:
    source = shared.source(prefix="/fast/")
    async with client_of(source) as client, following(EtcdRegistry(source)) as follower:
        await follower.until(lambda: listed(follower))
        delays = []
        for number in range(100):
            started = time.perf_counter()
            await client.put("/fast/orders/vm1", b"%d" % number)
            await follower.until(lambda number=number: follower.values.get("orders/vm1") == b"%d" % number)  # type: ignore[misc]
            delays.append(time.perf_counter() - started)
        assert statistics.median(delays) < 0.02, delays


async def test_only_keys_below_the_prefix_are_followed_and_a_long_list_comes_whole(shared: RealEtcd) -> None:
    source = shared.source(prefix="/many/")
    async with client_of(source) as client:
        await client.put("/man", VM)
        await client.put("/many0", VM)
        await fill(client, "/many/", 2500)
        async with following(EtcdRegistry(source)) as follower:
            await follower.until(lambda: listed(follower))
            assert len(follower.values) == 2500
            await client.put("/many0", VM)
            assert await client.delete("/many/", prefix=True) == 2500
            await follower.until(lambda: not follower.values)
            assert [type(event) for event in follower.events] == [Listed, Changed]


async def test_a_watch_line_of_many_megabytes_is_read(shared: RealEtcd) -> None:
    source = shared.source(prefix=f"/{'long' * 100}/")
    assert source.etcd is not None
    async with client_of(source) as client, following(EtcdRegistry(source)) as follower:
        await follower.until(lambda: listed(follower))
        await fill(client, source.etcd.prefix, 10_000)
        await follower.until(lambda: len(follower.values) == 10_000, 30)
        await client.delete(source.etcd.prefix, prefix=True)  # about 7 MB
        await follower.until(lambda: not follower.values)
        last = follower.events[-1]
        assert isinstance(last, Changed)
        assert len(last.deletes) == 10_000


async def test_nonsense_in_etcd_is_skipped_and_the_rest_goes_on(shared: RealEtcd) -> None:
    source = shared.source(prefix="/nonsense/")
    catalog = Merger([source], ("a", "b"))
    async with client_of(source) as client:
        nonsense = {
            "/nonsense/orders/big": b"x" * 1_000_000,
            "/nonsense/orders/binary": bytes(range(256)),
            "/nonsense/orders/empty": b"",
            "/nonsense/": VM,
            "/nonsense/Orders/vm1": VM,
            "/nonsense/orders/vm/1": VM,
            "/nonsense/a/vm1": VM,
            "/nonsense/orders/\udcff": VM,
        }
        for key, value in nonsense.items():
            await client.put(key, value)
        await client.put("/nonsense/orders/good", VM)
        async with following(EtcdRegistry(source)) as follower:
            await follower.until(lambda: listed(follower))
            await client.put("/nonsense/orders/bigger", b"x" * 1_200_000)
            await client.put("/nonsense/orders/also", VM.replace(b"1.10", b"1.11"))
            await follower.until(lambda: "orders/also" in follower.values)
            for event in follower.events:
                catalog.take("vms", event)
    assert set(catalog.instances("orders")) == {"good", "also"}
    assert catalog.skipped_total == len(nonsense) + 1
    assert catalog.state("vms").entries == len(nonsense) + 3


async def test_a_killed_etcd_that_comes_back_is_followed_within_two_seconds(own: RealEtcd) -> None:
    source = own.source()
    async with client_of(source) as client, following(EtcdRegistry(source)) as follower:
        await client.put("/vm/orders/vm1", VM)
        await follower.until(lambda: bool(follower.values))
        own.kill()
        await follower.until(lambda: bool(follower.lost), 3)
        assert follower.lost == f"etcd {own.url} refuses the connection; is etcd running there?"
        await asyncio.sleep(1)
        own.launch()
        await asyncio.to_thread(own.wait)
        started = time.monotonic()
        await follower.until(lambda: not follower.lost)
        assert time.monotonic() - started < 2
        assert follower.values == {"orders/vm1": VM}


async def test_an_etcd_that_is_stopped_and_keeps_its_connections_is_lost_within_seconds(own: RealEtcd) -> None:
    source = own.source()
    async with client_of(source) as client, following(EtcdRegistry(source)) as follower:
        await client.put("/vm/orders/vm1", VM)
        await follower.until(lambda: bool(follower.values))
        own.pause()
        await follower.until(lambda: bool(follower.lost), 8)
        assert "does not answer within 2 s" in follower.lost
        own.resume()
        await follower.until(lambda: not follower.lost)
        assert follower.values == {"orders/vm1": VM}


async def test_an_etcd_that_comes_back_empty_or_with_older_data_is_listed_anew_and_said(own: RealEtcd) -> None:
    source = own.source()
    catalog = Merger([source], ("a", "b"))
    async with client_of(source) as client, following(EtcdRegistry(source)) as follower:
        for number in range(5):
            await client.put(f"/vm/orders/vm{number}", VM)
        await follower.until(lambda: len(follower.values) == 5)
        own.kill()
        await follower.until(lambda: bool(follower.lost))
        shutil.rmtree(own.data)
        own.launch()
        await asyncio.to_thread(own.wait)
        await follower.until(lambda: not follower.lost)
        assert follower.values == {}
        for event in follower.events:
            catalog.take("vms", event)
        assert "revision went back from 6 to 1" in catalog.state("vms").reason


async def test_a_compaction_while_it_is_away_leaves_nothing_behind(own: RealEtcd) -> None:
    source = own.source()
    relay = Relay(own.port)
    await relay.start()
    away = replace(source, etcd=EtcdSource((relay.url,), "/vm/"))
    async with client_of(source) as client, following(EtcdRegistry(away)) as follower:
        await client.put("/vm/orders/vm1", VM)
        await follower.until(lambda: bool(follower.values))
        await relay.stop()
        await follower.until(lambda: bool(follower.lost))
        await client.delete("/vm/orders/vm1")
        await client.compact(await client.put("/vm/orders/vm2", VM))
        await relay.start()
        await follower.until(lambda: not follower.lost)
        assert follower.values == {"orders/vm2": VM}
    await relay.stop()


async def test_a_watch_that_has_gone_deaf_is_noticed_and_replaced(shared: RealEtcd) -> None:
    source = shared.source(prefix="/deaf/")
    relay = Relay(shared.port)
    await relay.start()
    through = replace(source, etcd=EtcdSource((relay.url,), "/deaf/"))
    async with client_of(source) as client, following(EtcdRegistry(through)) as follower:
        await follower.until(lambda: listed(follower))
        relay.deafen()
        await client.put("/deaf/orders/vm1", VM)
        await client.put("/elsewhere", VM)
        await follower.until(lambda: bool(follower.values), 10)
        relay.deafen()
        await client.put("/deaf/orders/vm1", b"{}")  # as many keys as before
        await follower.until(lambda: follower.values["orders/vm1"] == b"{}", 10)
        assert not any(isinstance(event, Lost) for event in follower.events)
    await relay.stop()


async def test_writes_elsewhere_in_etcd_make_nobody_list_anew(shared: RealEtcd) -> None:
    source = shared.source(prefix="/quiet/")
    async with client_of(source) as client, following(EtcdRegistry(source)) as follower:
        await follower.until(lambda: listed(follower))
        for _ in range(35):
            await client.put("/elsewhere", VM)
            await asyncio.sleep(0.1)
        await client.put("/quiet/orders/vm1", VM)
        await follower.until(lambda: bool(follower.values))
        assert [type(event) for event in follower.events] == [Listed, Changed]


async def test_when_one_endpoint_is_dead_the_next_is_asked_and_nothing_is_lost(own: RealEtcd, shared: RealEtcd) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    source = SourceSettings("vms", etcd=EtcdSource((dead, own.url, shared.url), "/endpoints/"))
    async with client_of(own.source()) as client, client_of(shared.source()) as other:
        await client.put("/endpoints/orders/vm1", VM)
        await other.put("/endpoints/orders/vm2", VM)
        async with following(EtcdRegistry(source)) as follower:
            await follower.until(lambda: "orders/vm1" in follower.values)
            own.kill()
            await follower.until(lambda: "orders/vm2" in follower.values)
            assert [type(event) for event in follower.events] == [Listed, Listed]


async def test_when_all_endpoints_are_dead_each_is_named_once() -> None:
    urls = tuple(f"http://127.0.0.1:{free_port()}" for _ in range(2))
    async with following(EtcdRegistry(SourceSettings("vms", etcd=EtcdSource(urls, "/vm/")))) as follower:
        await follower.until(lambda: bool(follower.lost))
        await asyncio.sleep(1)
        assert len(follower.events) == 1
        assert all(follower.lost.count(url) == 1 for url in urls)


async def test_leases_take_their_keys_along(shared: RealEtcd) -> None:
    source = shared.source(prefix="/leases/")
    async with client_of(source) as client, following(EtcdRegistry(source)) as follower:
        await follower.until(lambda: listed(follower))
        short, long = await client.grant(1), await client.grant(60)
        await client.put("/leases/orders/vm1", VM, short)
        await client.put("/leases/orders/vm2", VM, long)
        await follower.until(lambda: len(follower.values) == 2)
        assert await client.keep_alive(long) == 60
        await follower.until(lambda: len(follower.values) == 1)
        assert await client.keep_alive(short) == 0
        await client.revoke(long)
        await follower.until(lambda: not follower.values)
        with pytest.raises(EtcdError, match="lease not found"):
            await client.put("/leases/orders/vm1", VM, long)


def test_a_source_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no etcd"):
        EtcdRegistry(SourceSettings("vms"))
