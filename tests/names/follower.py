"""Follows a registry in a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from netctl.model.ports import Changed, Listed, Lost, Registry, RegistryEvent


class Follower:
    """Takes down what a registry says, and what follows from it."""

    def __init__(self) -> None:
        self.events: list[RegistryEvent] = []
        self.values: dict[str, bytes] = {}
        self.lost = ""
        self.news = asyncio.Event()

    def take(self, event: RegistryEvent) -> None:
        self.events.append(event)
        match event:
            case Listed(entries):
                self.values, self.lost = dict(entries), ""
            case Changed(puts, deletes):
                self.lost = ""
                for key in deletes:
                    self.values.pop(key, None)
                self.values.update(puts)
            case Lost(reason):
                self.lost = reason
        self.news.set()

    async def until(self, condition: Callable[[], bool], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def following(registry: Registry) -> AsyncIterator[Follower]:
    follower = Follower()
    task = asyncio.ensure_future(registry.follow(follower.take))
    task.add_done_callback(lambda _: follower.news.set())
    try:
        yield follower
        assert not task.done(), task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await registry.close()
        await registry.close()


def listed(follower: Follower) -> bool:
    return any(isinstance(event, Listed) for event in follower.events)
