"""Clusters that are silent, wiped, forbidden; a mistake of our own; and a checker that claims too much."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from netctl.ipc.io import Connection
from netctl.ipc.messages import CheckerCloud, Hello
from netctl.kube.fake.io import Faults
from netctl.kube.fake.store import FakeKube
from netctl.model.errors import PeerError
from netctl.model.kube import (
    ENDPOINT_SLICES,
    LEASES,
    SERVICES,
    DeniedError,
    InvalidError,
    KubeError,
    Obj,
    Resource,
    UnreachableError,
)
from tests.controller.test_accidents import A, register
from tests.controller.virtual_site import NAMESPACE, VirtualSite, play


def test_a_cluster_that_is_silent_when_a_controller_starts_holds_up_no_other() -> None:
    async def story(site: VirtualSite) -> None:
        register(site)
        program = site.start()
        program.disturb("b", Faults(silent=True))
        assert await site.until(lambda: site.ready("a", "orders") == A) < 2
        for number in (1, 2):
            site.etcd.delete(f"orders/b-vm{number}")
        await asyncio.sleep(20)
        assert site.ready("a", "orders") == A
        program.disturb("b", Faults())
        await site.steady(program, 60)

    play(story)


def test_a_request_that_fails_by_a_mistake_of_ours_is_logged_and_tried_again() -> None:
    async def story(site: VirtualSite) -> None:
        register(site)
        program = site.start()
        await site.steady(program)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(program.apis["a"], "replace", _broken)
            site.put("orders", "a-vm3", "10.1.3.10")
            await site.until(lambda: [what for level, what, _ in program.logs if level == "error"])
        await site.until(lambda: "10.1.3.10" in site.ready("a", "orders"), 10)
        await site.steady(program)

    play(story)


def test_a_checker_is_not_believed_about_another_cloud_than_its_certificates() -> None:
    class Claims:
        """A connection of a checker that says it is cloud a's, with a certificate for cloud b."""

        peer_hello = Hello("checker", "b-checker", 0)
        certified_cloud = "b"

        async def receive(self) -> CheckerCloud:
            return CheckerCloud("a")

    async def story(site: VirtualSite) -> None:
        program = site.start()
        with pytest.raises(PeerError):
            await program.shell._checker(cast("Connection", Claims()))
        assert program.status()["checkers"] == []
        assert [what for _, what, _ in program.logs if "checker" in what] == ["checker of another cloud refused"]

    play(story)


@pytest.mark.parametrize("error", [DeniedError("you may not (403)", 403), InvalidError("bad (422)", 422)])
def test_what_is_refused_for_minutes_is_not_logged_again_and_again(error: KubeError) -> None:
    async def refuse(_resource: Resource, _namespace: str | None, _obj: Obj) -> Obj:
        raise error

    async def story(site: VirtualSite) -> None:
        program = site.start()
        await site.steady(program)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(program.apis["a"], "create", refuse)
            for number in range(20):
                site.put(f"s{number}", "vm1", f"10.1.1.{number + 1}")
            await asyncio.sleep(120)
            assert len(program.status()["refused"]) == 20
        assert len([what for _, what, _ in program.logs if what == "write failed"]) <= 20
        await site.until(lambda: program.status()["steady"], 60)
        assert program.status()["refused"] == []

    play(story)


async def _broken(resource: Resource, namespace: str | None, obj: Obj) -> Obj:
    if resource is not LEASES:
        raise KeyError("metadata")
    raise UnreachableError(f"{namespace}: {obj['metadata']['name']}")


def test_what_is_held_outlives_a_namespace_that_was_deleted_and_made_again() -> None:
    async def story(site: VirtualSite) -> None:
        register(site)
        first, second = site.start("c1"), site.start("c2")
        await site.steady(first)
        await site.steady(second)
        for key in ("orders/a-vm1", "orders/a-vm2", "orders/b-vm1"):
            site.etcd.delete(key)
        await site.until(lambda: first.status()["holds"] and second.status()["holds"])
        before = site.ready("a", "orders"), site.ready("b", "orders")
        leader, other = (first, second) if first.status()["clusters"][0]["state"] == "leading" else (second, first)
        leader.kill()
        await wipe(site.kubes["a"], LEASES)
        await site.until(lambda: other.status()["clusters"][0]["state"] == "leading", 10)
        await site.steady(other)
        assert (site.ready("a", "orders"), site.ready("b", "orders")) == before

    play(story)


async def _refused(*_args: object) -> Obj:
    raise UnreachableError("away")


async def wipe(kube: FakeKube, *also: Resource) -> None:
    """Somebody deletes everything, and all hear of it."""
    for resource in (ENDPOINT_SLICES, SERVICES, *also):
        for item in kube.list(resource, NAMESPACE).items:
            kube.delete(resource, NAMESPACE, item["metadata"]["name"], uid="", resource_version="")
    await asyncio.sleep(1)


def test_what_is_held_outlives_that_somebody_wipes_a_cluster_which_nobody_leads() -> None:
    async def story(site: VirtualSite) -> None:
        register(site)
        program = site.start()
        await site.steady(program)
        for key in ("orders/a-vm1", "orders/a-vm2", "orders/b-vm1"):
            site.etcd.delete(key)
        await site.until(lambda: program.status()["holds"])
        before = site.ready("a", "orders"), site.ready("b", "orders")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(program.apis["a"], "replace", _refused)  # the Lease cannot be renewed, watches go on
            await site.until(lambda: program.status()["clusters"][0]["state"] != "leading")
            await wipe(site.kubes["a"])
        await site.steady(program)
        assert (site.ready("a", "orders"), site.ready("b", "orders")) == before

    play(story)
