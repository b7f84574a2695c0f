"""The client: raw JSON over pooled connections, one instance for each cluster.

Source: Kubernetes API concepts (kubernetes.io/docs/reference/using-api/api-concepts).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import aiohttp
import msgspec

from netctl.ipc.lines import Lines
from netctl.kube import answers
from netctl.kube.transport.io import Call, Limits, Transport, reason
from netctl.model.controller import ClusterSettings
from netctl.model.kube import (
    LEASES,
    GoneError,
    InvalidError,
    KubeEvent,
    KubeList,
    Obj,
    Resource,
    UnknownOutcomeError,
    UnreachableError,
)

_PAGE = 500
_RELISTS = 3
"""How often a list starts over because its version was compacted meanwhile, before it asks for all at once."""
_AT_ONCE = 32
"""Requests under way to one cluster, Leases not counted: those must not wait behind a first synchronisation."""


def open_kube(cluster: ClusterSettings, limits: Limits | None = None) -> RealKubeApi:
    """The API of a cluster, by its kubeconfig. Nothing is read or connected before the first request, and what is
    wrong with the kubeconfig is that request's error: it may be mended while the program runs."""
    return RealKubeApi(cluster, limits or Limits())


class RealKubeApi:
    """``netctl.model.ports.KubeApi`` on a real API server."""

    def __init__(self, cluster: ClusterSettings, limits: Limits) -> None:
        self._where = f"cluster {cluster.name}"
        self._limits = limits
        self._transport = Transport(cluster, limits)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._watched: set[aiohttp.StreamReader] = set()
        """What open watches read from: aiohttp does not tell them that the session is closed."""

    async def list(self, resource: Resource, namespace: str | None, selector: str = "") -> KubeList:
        for attempt in range(_RELISTS + 1):
            try:
                return await self._list(resource, namespace, selector, _PAGE if attempt < _RELISTS else 0)
            except GoneError as error:
                gone = error
        raise gone

    async def _list(self, resource: Resource, namespace: str | None, selector: str, limit: int) -> KubeList:
        url = answers.path(resource, namespace)
        params = {"labelSelector": selector} if selector else {}
        if limit:
            params["limit"] = str(limit)
        items: list[Obj] = []
        while True:
            page = await self._send("GET", url, self._limits.list_s, params=params)
            items.extend(page.get("items") or ())
            meta = page["metadata"]
            if not isinstance(meta.get("resourceVersion"), str):
                raise UnreachableError(f"{self._where}: {url}: the answer is no list")
            if not meta.get("continue"):
                return KubeList(items, meta["resourceVersion"])
            params["continue"] = meta["continue"]

    async def watch(
        self, resource: Resource, namespace: str | None, resource_version: str, selector: str = ""
    ) -> AsyncIterator[KubeEvent]:
        where = f"{self._where}: watch {resource.plural}"
        seconds = max(1, round(self._limits.watch_s * random.uniform(1, 2)))
        idle_s = seconds + self._limits.grace_s
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        if selector:
            params["labelSelector"] = selector
        timeout = aiohttp.ClientTimeout(
            connect=self._limits.connect_s, sock_connect=self._limits.connect_s, sock_read=idle_s
        )
        lines = Lines()
        call = Call("GET", answers.path(resource, namespace), params, None, timeout)
        try:
            async with await self._transport.request(call) as response:
                if response.status >= 400:
                    raise await self._transport.refused(response, where, writing=False)
                self._watched.add(response.content)
                try:
                    while data := await response.content.readany():
                        for line in lines.feed(data):
                            yield answers.event(line, where)
                finally:
                    self._watched.discard(response.content)
        except TimeoutError:
            raise UnreachableError(f"{where}: neither anything nor its end came within {idle_s:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(f"{where}: the connection broke: {reason(error)}") from None

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Obj:
        within_s = self._limits.lease_s if resource is LEASES else self._limits.request_s
        return await self._send("GET", answers.path(resource, namespace, name), within_s)

    async def create(self, resource: Resource, namespace: str | None, obj: Obj) -> Obj:
        return await self._write("POST", resource, answers.path(resource, namespace), _whole(resource, obj))

    async def replace(self, resource: Resource, namespace: str | None, obj: Obj) -> Obj:
        url = answers.path(resource, namespace, obj["metadata"]["name"])
        if not obj["metadata"].get("resourceVersion"):
            raise InvalidError(f"{self._where}: replace {url} without resourceVersion would overwrite anything", 422)
        return await self._write("PUT", resource, url, _whole(resource, obj))

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str, resource_version: str
    ) -> None:
        body = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": uid, "resourceVersion": resource_version},
        }
        await self._write("DELETE", resource, answers.path(resource, namespace, name), body)

    async def close(self) -> None:
        for content in self._watched:
            content.set_exception(aiohttp.ClientConnectionError("closed"))
        await self._transport.close()

    # --- sending ---

    async def _write(self, method: str, resource: Resource, url: str, body: Obj) -> Obj:
        lease = resource is LEASES
        within_s = self._limits.lease_s if lease else self._limits.request_s
        slot: AbstractAsyncContextManager[Any] = nullcontext() if lease else self._slots
        async with slot:
            return await self._send(method, url, within_s, body=body)

    async def _send(
        self,
        method: str,
        url: str,
        within_s: float,
        *,
        params: Mapping[str, str] | None = None,
        body: Obj | None = None,
    ) -> Obj:
        where = f"{self._where}: {method} {url.partition('/namespaces/')[2] or url}"
        connect_s = min(self._limits.connect_s, within_s * 0.8)
        timeout = aiohttp.ClientTimeout(total=within_s, connect=connect_s, sock_connect=connect_s)
        data = msgspec.json.encode(body) if body is not None else None
        try:
            async with await self._transport.request(Call(method, url, params or {}, data, timeout)) as response:
                if response.status >= 400:
                    raise await self._transport.refused(response, where, writing=body is not None)
                return _decoded(await response.read())
        except (TimeoutError, aiohttp.ClientError, OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            late = isinstance(error, TimeoutError)
            text = f"{where}: no answer" + (f" within {within_s:g} s" if late else f": {reason(error)}")
            if body is not None:
                raise UnknownOutcomeError(f"{text}: it may have been done") from None
            raise UnreachableError(text) from None


def _whole(resource: Resource, obj: Obj) -> Obj:
    """The object with the type that those of a list lack."""
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


def _decoded(body: bytes) -> Obj:
    told = msgspec.json.decode(body)
    if not isinstance(told, dict) or not isinstance(told.get("metadata"), dict):
        raise msgspec.DecodeError("it is no object of Kubernetes'")
    return told
