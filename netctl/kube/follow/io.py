"""Follow one kind of objects of one cluster: list, watch, and again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from netctl.kube.informer import NOTHING, Informer, Notice
from netctl.model.kube import KubeError, KubeEvent, Resource
from netctl.model.ports import KubeApi


async def follow(
    api: KubeApi,
    resource: Resource,
    namespace: str | None,
    take: Callable[[Notice], None],
    *,
    selector: str = "",
    jitter: Callable[[], float] = random.random,
) -> None:
    """Call ``take`` with Relisted first, then each change; runs until it is cancelled. ``jitter`` draws from 0 to 1."""
    informer = Informer()
    while True:
        await asyncio.sleep(informer.wait_s(jitter()))
        try:
            if informer.step == "watch":
                await _watch(api.watch(resource, namespace, informer.version, selector), informer, take)
                continue
            wanted = selector if informer.step == "list" else ",".join(filter(None, (selector, NOTHING)))
            found = await api.list(resource, namespace, wanted)
            notices = informer.listed(found) if informer.step == "list" else informer.checked(found)
        except KubeError as error:
            notices = informer.failed(error)
        for notice in notices:
            take(notice)


async def _watch(events: AsyncIterator[KubeEvent], informer: Informer, take: Callable[[Notice], None]) -> None:
    try:
        async for event in events:
            for notice in informer.changed(event):
                take(notice)
            if informer.step != "watch":
                return
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()  # now, and not when it is collected: the connection waits for it
    informer.ended()
