"""What every ``KubeApi`` promises of watches, on a real kube-apiserver and on the fake cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from netctl.model.kube import ENDPOINT_SLICES, MANAGED_BY_LABEL, KubeEvent, Obj
from netctl.model.ports import KubeApi
from tests.contract.clusters import Namespace, delete, endpoint_slice, fake_namespace, real_namespace, until


@pytest.fixture(params=["real", "fake"])
async def ns(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Namespace]:
    namespace = real_namespace(tmp_path) if request.param == "real" else fake_namespace()
    async with asyncio.timeout(30):
        yield namespace
    await namespace.api.close()


def version(obj: Obj) -> str:
    return str(obj["metadata"]["resourceVersion"])


class Watching:
    """A watch of slices that runs beside the test."""

    def __init__(self, api: KubeApi, namespace: str, resource_version: str, selector: str = "") -> None:
        self.events: list[KubeEvent] = []
        self._stream = api.watch(ENDPOINT_SLICES, namespace, resource_version, selector)
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for event in self._stream:
            if event.type != "BOOKMARK":
                self.events.append(event)

    async def told(self, *wanted: tuple[str, str]) -> None:
        """(type, name), in order, and no others."""
        await until(lambda: len(self.events) >= len(wanted) or self._task.done())
        assert [(event.type, event.object["metadata"]["name"]) for event in self.events] == [*wanted]

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_a_watch_tells_each_change_after_its_version_in_order(ns: Namespace) -> None:
    made = await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("one", "10.1.0.1"))
    start = (await ns.api.list(ENDPOINT_SLICES, ns.name)).resource_version
    two = await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("two", "10.1.0.1"))
    watching = Watching(ns.api, ns.name, start)
    await watching.told(("ADDED", "two"))
    after = await ns.api.replace(ENDPOINT_SLICES, ns.name, {**made, "endpoints": []})
    await delete(ns.api, ns.name, two)
    await watching.told(("ADDED", "two"), ("MODIFIED", "one"), ("DELETED", "two"))
    await watching.stop()
    assert watching.events[1].object == after
    versions = [int(version(event.object)) for event in watching.events]
    assert versions == sorted(set(versions))
    assert versions[-1] > int(version(two))


async def test_a_watch_with_a_selector_adds_and_deletes_what_begins_and_ceases_to_match(ns: Namespace) -> None:
    made = await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("s", "10.1.0.1"))
    start = (await ns.api.list(ENDPOINT_SLICES, ns.name)).resource_version
    watching = Watching(ns.api, ns.name, start, f"{MANAGED_BY_LABEL}=netctl")
    labels = made["metadata"].pop("labels")
    other = await ns.api.replace(ENDPOINT_SLICES, ns.name, made)
    await watching.told(("DELETED", "s"))
    assert int(version(watching.events[0].object)) == int(version(other))
    other["metadata"]["labels"] = labels
    await ns.api.replace(ENDPOINT_SLICES, ns.name, other)
    await watching.told(("DELETED", "s"), ("ADDED", "s"))
    await watching.stop()


async def test_two_watches_of_two_clients_see_the_same_and_a_stuck_reader_stops_nobody(ns: Namespace) -> None:
    start = (await ns.api.list(ENDPOINT_SLICES, ns.name)).resource_version
    second = ns.open()
    stuck = ns.api.watch(ENDPOINT_SLICES, ns.name, start)
    one, two = Watching(ns.api, ns.name, start), Watching(second, ns.name, start)
    await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("s0", "10.1.0.1"))
    first = await anext(stuck)
    many = [f"10.1.{i // 200}.{i % 200 + 1}" for i in range(900)]
    names = [f"s{number}" for number in range(1, 20)]
    for name in names:
        await second.create(ENDPOINT_SLICES, ns.name, endpoint_slice(name, *many))
    await one.told(("ADDED", "s0"), *(("ADDED", name) for name in names))
    await two.told(("ADDED", "s0"), *(("ADDED", name) for name in names))
    assert one.events == two.events
    assert one.events[0] == first
    rest = [await anext(stuck) for _ in names]
    assert rest == one.events[1:]
    await one.stop()
    await two.stop()
    await second.close()


async def test_a_closed_client_ends_what_is_under_way_with_an_error_and_may_be_closed_again(ns: Namespace) -> None:
    api: Any = ns.open()
    start = (await api.list(ENDPOINT_SLICES, ns.name)).resource_version
    watching = Watching(api, ns.name, start)
    await ns.api.create(ENDPOINT_SLICES, ns.name, endpoint_slice("s", "10.1.0.1"))
    await watching.told(("ADDED", "s"))
    await api.close()
    await api.close()
    await until(watching._task.done)
    assert watching._task.exception() is not None
    with pytest.raises(Exception, match="closed"):
        await api.get(ENDPOINT_SLICES, ns.name, "s")
