"""A registry, two clusters and controllers in virtual time: real shells on fake ports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

from netctl.controller.shell import ControllerShell
from netctl.ipc.messages import Request
from netctl.kube.fake.io import FakeKubeApi, Faults
from netctl.kube.fake.store import Change, FakeKube
from netctl.model.controller import ClusterSettings, Controller, EtcdSource, SourceSettings
from netctl.model.kube import ENDPOINT_SLICES
from netctl.names.fake.io import FakeRegistry
from netctl.names.fake.store import FakeEtcd
from netctl.sim.loop import OWNER, Owner, SimClock, SimLoop
from netctl.sim.streams import FakeStreams
from netctl.sync.objects import served

NAMESPACE = "vm"


class Program:
    """One controller as a process."""

    def __init__(self, site: VirtualSite, identity: str) -> None:
        self.owner = Owner(identity)
        self.registry = FakeRegistry(site.etcd)
        self.apis = {name: FakeKubeApi(kube, identity) for name, kube in site.kubes.items()}
        settings = Controller(
            identity,
            f"/run/{identity}",
            (SourceSettings("vms", etcd=EtcdSource(("http://fake",), "/vm/")),),
            tuple(ClusterSettings(name, name, "", NAMESPACE) for name in site.kubes),
            "a",
        )
        self.logs: list[tuple[str, str, dict[str, object]]] = []
        self.shell = ControllerShell(
            settings,
            clock=site.clock,
            registries={"vms": self.registry},
            kubes=self.apis,
            streams=site.streams,
            checker_streams=site.streams,
            log=lambda level, event, **fields: self.logs.append((level, event, fields)),
        )
        context = copy_context()
        context.run(OWNER.set, self.owner)
        self.task = asyncio.get_running_loop().create_task(self.shell.run(), context=context)

    def kill(self) -> None:
        """As kill -9 does."""
        self.owner.end()

    async def leave(self) -> None:
        """As SIGTERM does."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        if self.task.done():
            self.task.result()
        return self.shell.answers.answer(Request("status"))[0].body

    def disturb(self, cluster: str, faults: Faults) -> None:
        self.apis[cluster].disturb(faults)


class VirtualSite:
    """``changes``: everything that was changed in a cluster, by whom."""

    def __init__(self, loop: SimLoop) -> None:
        self.loop = loop
        self.clock = SimClock(loop)
        self.streams = FakeStreams(loop)
        self.etcd = FakeEtcd(self.clock)
        self.kubes = {name: FakeKube(name, wall=self.clock.wall) for name in ("a", "b")}
        self.changes: list[tuple[str, Change]] = []
        for name, kube in self.kubes.items():
            kube.add_namespace(NAMESPACE)
            kube.onlookers.append(lambda change, name=name: self.changes.append((name, change)))  # type: ignore[misc]

    def start(self, identity: str = "c1") -> Program:
        return Program(self, identity)

    def put(self, service: str, instance: str, address: str, cloud: str = "a", **fields: Any) -> None:
        value = {"address": address, "ports": {"http": 80}, "cloud": cloud, **fields}
        self.etcd.put(f"{service}/{instance}", json.dumps(value).encode())

    def ready(self, cluster: str, service: str) -> set[str]:
        """The addresses that it answers with."""
        slices = [
            one
            for one in self.kubes[cluster].list(ENDPOINT_SLICES, NAMESPACE).items
            if one["metadata"]["labels"].get("kubernetes.io/service-name") == service
        ]
        return {one.instance.address for one in served(service, slices).values() if one.ready}

    def writes(self, user: str) -> list[Change]:
        """What a controller changed but for Leases."""
        return [change for _, change in self.changes if change.user == user and change.key[0] != "leases"]

    async def until(self, what: Callable[[], object], within_s: float = 30.0) -> float:
        """Wait until it is true; how long it took, in seconds."""
        begun_s = self.loop.time()
        while not what():
            assert self.loop.time() < begun_s + within_s, "it did not come about"
            await asyncio.sleep(0.001)
        return self.loop.time() - begun_s

    async def steady(self, program: Program, within_s: float = 30.0) -> None:
        await self.until(lambda: program.status()["steady"], within_s)


def play(story: Callable[[VirtualSite], Coroutine[Any, Any, None]]) -> None:
    """Run a story in virtual time."""
    loop = SimLoop()
    try:
        loop.run_until_complete(story(VirtualSite(loop)))
        assert loop.errors == []
    finally:
        loop.discard()
