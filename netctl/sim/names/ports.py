"""The controller's ports, each with an ear: what it is told and what it sends is heard at that very moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from netctl.ipc.frames import FrameReader
from netctl.ipc.messages import CheckerCloud, Verdicts
from netctl.kube.fake.io import FakeKubeApi, Faults
from netctl.model.clock import MS, SECOND
from netctl.model.kube import KubeEvent, KubeList, Obj, Resource
from netctl.model.ports import Listener, Registry, RegistryEvent, Stream, Streams

LATENCY_S = 0.001
"""One way to an API server when nothing is wrong."""
SETTLES_NS = 6 * SECOND
"""So long after a disturbance back-offs may still hold things up (a Lease that has to be won included)."""
DENIED_SETTLES_NS = 36 * SECOND
"""And so long where somebody had to mend permissions."""

Verb = Literal["create", "replace", "delete"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A write on its way. ``version``: the one that it names, "" for a create."""

    verb: Verb
    resource: Resource
    name: str
    version: str
    object: Obj | None


class Way:
    """From one controller to one cluster: the faults that are in force on it, joined."""

    def __init__(self) -> None:
        self.faults: list[Faults] = []
        self.settled_ns = 0
        """When the last disturbance can be felt no more."""
        self._api: FakeKubeApi | None = None

    def lead_to(self, api: FakeKubeApi) -> None:
        """A controller has started, and this is its client."""
        self._api = api
        self._apply()

    def begin(self, faults: Faults) -> None:
        self.faults.append(faults)
        self._apply()

    def end(self, faults: Faults, now_ns: int) -> None:
        self.faults.remove(faults)
        late_ns = int(((faults.late_s or 0.0) + faults.delay_s) * SECOND)
        self.disturbed(now_ns + late_ns, DENIED_SETTLES_NS if faults.status == 403 else SETTLES_NS)
        self._apply()

    def disturbed(self, now_ns: int, settles_ns: int = SETTLES_NS) -> None:
        self.settled_ns = max(self.settled_ns, now_ns + settles_ns)

    @property
    def clear(self) -> bool:
        return not self.faults

    def _apply(self) -> None:
        if self._api is None:
            return
        joined = Faults(delay_s=LATENCY_S)
        for one in self.faults:
            joined = Faults(
                joined.unreachable or one.unreachable,
                joined.silent or one.silent,
                one.status or joined.status,
                max(joined.retry_after_s, one.retry_after_s),
                joined.delay_s + one.delay_s,
                max(filter(None, (joined.late_s, one.late_s)), default=None),
            )
        self._api.disturb(replace(joined))


@dataclass(slots=True)
class KubePort:
    """``KubeApi``; ``on_send`` hears each write as it leaves (one that finds no connection does not)."""

    api: FakeKubeApi
    on_send: Callable[[Sent], None]

    async def list(self, resource: Resource, namespace: str | None, selector: str = "") -> KubeList:
        return await self.api.list(resource, namespace, selector)

    def watch(
        self, resource: Resource, namespace: str | None, resource_version: str, selector: str = ""
    ) -> AsyncIterator[KubeEvent]:
        return self.api.watch(resource, namespace, resource_version, selector)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Obj:
        return await self.api.get(resource, namespace, name)

    async def create(self, resource: Resource, namespace: str | None, obj: Obj) -> Obj:
        self._sends(Sent("create", resource, obj["metadata"]["name"], "", obj))
        return await self.api.create(resource, namespace, obj)

    async def replace(self, resource: Resource, namespace: str | None, obj: Obj) -> Obj:
        meta = obj["metadata"]
        self._sends(Sent("replace", resource, meta["name"], str(meta.get("resourceVersion", "")), obj))
        return await self.api.replace(resource, namespace, obj)

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str, resource_version: str
    ) -> None:
        self._sends(Sent("delete", resource, name, resource_version, None))
        await self.api.delete(resource, namespace, name, uid=uid, resource_version=resource_version)

    async def close(self) -> None:
        await self.api.close()

    def _sends(self, sent: Sent) -> None:
        if not self.api.faults.unreachable:
            self.on_send(sent)


@dataclass(slots=True)
class RegistryPort:
    """``Registry``; ``on_said`` hears each event just before the controller does."""

    registry: Registry
    on_said: Callable[[RegistryEvent], None]

    async def follow(self, take: Callable[[RegistryEvent], None]) -> None:
        def heard(event: RegistryEvent) -> None:
            self.on_said(event)
            take(event)

        await self.registry.follow(heard)

    async def close(self) -> None:
        await self.registry.close()


@dataclass(slots=True)
class HearingStreams:
    """``Streams``; ``on_verdicts`` (cloud, verdicts) hears what checkers say, when the controller reads it."""

    streams: Streams
    on_verdicts: Callable[[str, Verdicts], None]

    async def listen(self, path: str, on_connect: Callable[[Stream], Awaitable[None]]) -> Listener:
        return await self.streams.listen(path, lambda stream: on_connect(_HearingStream(stream, self.on_verdicts)))

    async def connect(self, path: str) -> Stream:
        return await self.streams.connect(path)


@dataclass(slots=True)
class _HearingStream:
    stream: Stream
    on_verdicts: Callable[[str, Verdicts], None]
    cloud: str = ""
    frames: FrameReader = field(default_factory=FrameReader)

    async def read(self) -> bytes:
        data = await self.stream.read()
        for message in self.frames.feed(data):
            if isinstance(message, CheckerCloud):
                self.cloud = message.cloud
            elif isinstance(message, Verdicts):
                self.on_verdicts(self.cloud, message)
        return data

    def write(self, data: bytes) -> None:
        self.stream.write(data)

    async def drain(self) -> None:
        await self.stream.drain()

    def close(self) -> None:
        self.stream.close()


def late(milliseconds: int) -> Faults:
    """Writes are stored so much later."""
    return Faults(late_s=milliseconds * MS / SECOND)
