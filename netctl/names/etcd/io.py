"""The registry that lists and watches an etcd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import NoReturn

from netctl.model.controller import SourceSettings
from netctl.model.ports import Listed, Lost, RegistryEvent
from netctl.names.etcd.client.io import ANSWER_S, EtcdClient, EtcdError, key_bytes, words
from netctl.names.etcd.wire import WatchReply, changes

BEAT_S = 1.0
"""How often a registry that says nothing is asked whether it is still the one that we follow."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.5


class EtcdRegistry:
    """The ``Registry`` port on etcd: lists at one revision, watches from the next; after any interruption it lists
    anew, from whichever endpoint answers, so that neither a compaction nor a restored etcd can leave anything behind.

    A watch may fall silent without ending (a half-dead connection, a stopped etcd): each second one cheap read says
    whether the revision went back, whether the number of keys is ours, and whether writes were missed.
    """

    def __init__(self, settings: SourceSettings) -> None:
        if settings.etcd is None:
            raise ValueError(f"source {settings.name} is no etcd")
        self._etcd = settings.etcd
        self._prefix = settings.etcd.prefix
        self._first = 0
        self._keys: set[str] = set()
        self._revision = 0
        self._reading = False

    async def follow(self, take: Callable[[RegistryEvent], None]) -> None:
        said, pause_s, reasons = "", FIRST_PAUSE_S, dict[str, str]()
        while True:
            endpoint = self._etcd.endpoints[self._first]
            client = EtcdClient(self._etcd, endpoint)
            self._reading = False
            try:
                await self._read(client, take)
            except EtcdError as error:
                failure = error
            finally:
                await client.close()
            if self._reading:
                said, pause_s, reasons = "", FIRST_PAUSE_S, {}
            if failure.again:
                continue
            reasons[endpoint] = f"etcd {endpoint} {failure}"
            self._first = (self._first + 1) % len(self._etcd.endpoints)
            if self._reading or len(reasons) < len(self._etcd.endpoints):
                continue  # at once: another endpoint may be there, or this one again
            if (reason := "; ".join(sorted(reasons.values()))) != said:
                said = reason
                take(Lost(reason))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def close(self) -> None:
        """Nothing is open outside of ``follow``."""

    async def _read(self, client: EtcdClient, take: Callable[[RegistryEvent], None]) -> NoReturn:
        """List and watch; ends with EtcdError."""
        await client.count(self._prefix)  # one that is stopped is noticed sooner by this than by a whole page
        entries, revision = await client.range(self._prefix)
        async with aclosing(client.watch(self._prefix, revision + 1)) as replies:
            try:
                async with asyncio.timeout(ANSWER_S):
                    first = await anext(replies)
            except TimeoutError:
                raise EtcdError(words(TimeoutError())) from None
            # Only now, so that one that can be listed but not watched is lost and not listed again and again.
            self._keys, self._revision = {key for key, _ in entries}, revision
            self._reading = True
            take(Listed(dict(entries), revision))
            self._take(first, take)
            pump = asyncio.ensure_future(self._pump(replies, take))
            beat = asyncio.ensure_future(self._beat(client))
            try:
                await asyncio.wait({pump, beat}, return_when=asyncio.FIRST_COMPLETED)
                for task in (pump, beat):
                    if task.done():
                        task.result()
                raise EtcdError("has ended the watch")
            finally:
                pump.cancel()
                beat.cancel()
                await asyncio.gather(pump, beat, return_exceptions=True)

    async def _pump(self, replies: AsyncIterator[WatchReply], take: Callable[[RegistryEvent], None]) -> None:
        async for reply in replies:
            self._take(reply, take)

    def _take(self, reply: WatchReply, take: Callable[[RegistryEvent], None]) -> None:
        if reply.canceled:
            compacted = reply.compact_revision != "0"
            raise EtcdError(reply.cancel_reason or "has ended the watch", again=compacted)
        for change in changes(reply.events, key_bytes(self._prefix)):
            self._keys.update(change.puts)  # with |= a whole new set would be made, of all keys
            self._keys.difference_update(change.deletes)
            self._revision = max(self._revision, change.revision)
            take(change)

    async def _beat(self, client: EtcdClient) -> None:
        """Ends with EtcdError when what we follow is not what is there."""
        doubt = None
        while True:
            await asyncio.sleep(BEAT_S)
            ours = self._revision
            count, revision = await client.count(self._prefix)
            if revision < ours:
                raise EtcdError("has gone back to an older revision", again=True)
            if self._revision != ours or (revision, count) == (ours, len(self._keys)):
                continue
            # Something was written of which the watch has not told: elsewhere in etcd, or the watch is late or deaf.
            if doubt != ours:
                doubt = ours
                continue
            missed = count != len(self._keys) or await client.written_between(self._prefix, ours + 1, revision)
            if self._revision == ours:
                if missed:
                    raise EtcdError("does not tell any more what changes", again=True)
                self._revision = revision
