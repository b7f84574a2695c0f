"""What the fake cluster can do to its clients."""

from __future__ import annotations

import asyncio

import pytest

from netctl.kube.fake import FakeKube
from netctl.kube.fake.io import FakeKubeApi, Faults
from netctl.model.kube import (
    SERVICES,
    ConflictError,
    NotFoundError,
    UnknownOutcomeError,
    UnreachableError,
)
from tests.contract.clusters import service
from tests.kube.virtual import Follower, name, play, truth, version


def test_a_late_write_is_unknown_to_its_sender_and_stored_all_the_same() -> None:
    async def scenario(kube: FakeKube, api: FakeKubeApi) -> None:
        api.disturb(Faults(late_s=8.0))
        with pytest.raises(UnknownOutcomeError):
            await api.create(SERVICES, "vm", service("orders"))
        with pytest.raises(NotFoundError):
            await api.get(SERVICES, "vm", "orders")
        await asyncio.sleep(4)
        assert name(await api.get(SERVICES, "vm", "orders")) == "orders"

    play(scenario)


def test_a_late_write_loses_against_what_was_written_meanwhile() -> None:
    async def scenario(kube: FakeKube, api: FakeKubeApi) -> None:
        made = await api.create(SERVICES, "vm", service("orders"))
        api.disturb(Faults(late_s=8.0))
        ports = [{"name": "http", "port": 81}]
        with pytest.raises(UnknownOutcomeError):
            await api.replace(SERVICES, "vm", {**made, "spec": {**made["spec"], "ports": ports}})
        api.disturb(Faults())
        mine = await api.replace(SERVICES, "vm", {**made, "metadata": {**made["metadata"], "labels": {"c": "d"}}})
        await asyncio.sleep(10)
        assert kube.get(SERVICES, "vm", "orders") == mine
        with pytest.raises(ConflictError):
            await api.replace(SERVICES, "vm", made)

    play(scenario)


def test_silence_ends_by_the_client_s_patience_and_watches_just_bring_nothing() -> None:
    async def scenario(kube: FakeKube, api: FakeKubeApi) -> None:
        follower = Follower(api)
        await asyncio.sleep(0.01)
        api.disturb(Faults(silent=True))
        kube.create(SERVICES, "vm", service("orders"))
        with pytest.raises(UnreachableError):
            await api.get(SERVICES, "vm", "orders")
        with pytest.raises(UnknownOutcomeError):
            await api.create(SERVICES, "vm", service("ledger"))
        assert follower.cache == {}
        api.disturb(Faults())
        await asyncio.sleep(1)
        assert follower.cache == truth(kube)
        assert follower.cache.keys() == {"orders"}

    play(scenario)


def test_delays_take_their_time_each_way() -> None:
    async def scenario(kube: FakeKube, api: FakeKubeApi) -> None:
        loop = asyncio.get_running_loop()
        api.disturb(Faults(delay_s=0.2))
        start_s = loop.time()
        await api.create(SERVICES, "vm", service("orders"))
        assert loop.time() - start_s == pytest.approx(0.4)

    play(scenario)


def test_changes_name_their_writer_and_the_cluster_itself_has_no_name() -> None:
    async def scenario(kube: FakeKube, api: FakeKubeApi) -> None:
        told: list[tuple[str, str, str]] = []
        kube.onlookers.append(lambda change: told.append((change.verb, change.key[2], change.user)))
        made = await api.create(SERVICES, "vm", service("orders"))
        owned = service("owned")
        owner = {"apiVersion": "v1", "kind": "Service", "name": "orders", "uid": made["metadata"]["uid"]}
        owned["metadata"]["ownerReferences"] = [owner]
        kube.create(SERVICES, "vm", owned)
        await api.delete(SERVICES, "vm", "orders", uid=made["metadata"]["uid"], resource_version=version(made))
        assert told == [
            ("create", "orders", "c1"),
            ("create", "owned", ""),
            ("delete", "orders", "c1"),
            ("delete", "owned", ""),
        ]

    play(scenario)
