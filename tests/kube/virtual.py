"""A fake cluster on virtual time, and somebody who follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from netctl.kube.fake import FakeKube
from netctl.kube.fake.io import FakeKubeApi
from netctl.kube.follow.io import follow
from netctl.kube.informer import Notice, Relisted
from netctl.model.kube import (
    SERVICES,
    KubeEvent,
    Obj,
)
from netctl.sim.loop import SimLoop


class Follower:
    """A cache of names → versions, kept as a controller would keep it."""

    def __init__(self, api: FakeKubeApi) -> None:
        self.notices: list[Notice] = []
        self.cache: dict[str, str] = {}
        self.task = asyncio.create_task(follow(api, SERVICES, "vm", self.take, jitter=lambda: 1.0))

    def take(self, notice: Notice) -> None:
        self.notices.append(notice)
        match notice:
            case Relisted(items):
                self.cache = {name(item): version(item) for item in items}
            case KubeEvent("DELETED", item):
                del self.cache[name(item)]
            case KubeEvent(_, item):
                self.cache[name(item)] = version(item)

    @property
    def lists(self) -> int:
        return sum(isinstance(notice, Relisted) for notice in self.notices)


def name(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def version(obj: Obj) -> str:
    return str(obj["metadata"]["resourceVersion"])


def truth(kube: FakeKube) -> dict[str, str]:
    return {name(item): version(item) for item in kube.list(SERVICES, "vm").items}


Scenario = Callable[[FakeKube, FakeKubeApi], Awaitable[None]]


def play(scenario: Scenario) -> None:
    """Run a scenario on the virtual-time loop."""
    loop = SimLoop()
    kube = FakeKube()
    kube.add_namespace("vm")
    try:
        loop.run_until_complete(scenario(kube, FakeKubeApi(kube, "c1")))
        assert not loop.errors
    finally:
        loop.discard()
