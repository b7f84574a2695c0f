"""The least that could be done: programs that PUT an EndpointSlice themselves and think of nothing.

``python -m tests.bench.naming.floor`` reads one line of settings (``Settings`` as JSON), makes its Services and slices,
says ``ready``, and then PUTs a whole slice for each change:

- without ``etcd``: for each line of its input (``Change`` as JSON);
- with ``etcd`` (a URL): for each event of a watch on ``/SERVICES-PREFIX``: the do-nothing controller.

It answers each change with ``Done``. No watch of the cluster, no Lease, no guard, no repair, no look at what is there.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct


class Settings(Struct):
    url: str
    ca: str
    token: str
    namespace: str
    services: dict[str, dict[str, str]]
    """Service → instance → address, at the start."""
    etcd: str = ""
    prefix: str = ""


class Change(Struct):
    """``address`` "": the instance leaves."""

    service: str
    instance: str
    address: str


class Done(Struct):
    """Monotonic ns: when it was heard of, the PUT sent, and answered."""

    heard: int
    sent: int
    answered: int


class Floor:
    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session
        slices = f"/apis/discovery.k8s.io/v1/namespaces/{settings.namespace}/endpointslices"
        self._slices = settings.url + slices
        self._services = f"{settings.url}/api/v1/namespaces/{settings.namespace}/services"

    async def create(self) -> None:
        for service in self._settings.services:
            meta = {"name": service, "namespace": self._settings.namespace}
            spec = {"clusterIP": "None", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
            await self._send(
                "POST", self._services, {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
            )
            await self._send("POST", self._slices, self._slice(service))

    async def apply(self, change: Change, heard: int) -> Done:
        instances = self._settings.services[change.service]
        if change.address:
            instances[change.instance] = change.address
        else:
            del instances[change.instance]
        sent = time.monotonic_ns()
        await self._send("PUT", f"{self._slices}/{change.service}-1", self._slice(change.service))
        return Done(heard, sent, time.monotonic_ns())

    def _slice(self, service: str) -> dict[str, Any]:
        """As large as netctl's are."""
        labels = {"kubernetes.io/service-name": service, "service.kubernetes.io/headless": ""}
        labels["endpointslice.kubernetes.io/managed-by"] = "bench"
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{service}-1", "namespace": self._settings.namespace, "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
            "endpoints": [
                {
                    "addresses": [address],
                    "conditions": {"ready": True},
                    "targetRef": {"kind": "Instance", "name": name, "apiVersion": "netctl.io/v1"},
                    "zone": "a",
                }
                for name, address in self._settings.services[service].items()
            ],
        }

    async def _send(self, method: str, url: str, obj: dict[str, Any]) -> None:
        async with self._session.request(method, url, data=msgspec.json.encode(obj)) as answer:
            body = await answer.read()
            if answer.status not in (200, 201):
                raise RuntimeError(f"{method} {url}: {answer.status} {body[:300]!r}")


async def told() -> AsyncIterator[Change]:
    """The lines of our input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield msgspec.json.decode(line, type=Change)


async def watched(session: aiohttp.ClientSession, settings: Settings) -> AsyncIterator[Change]:
    """What etcd tells of ``PREFIX<service>/<instance>``; the values are addresses."""
    start = settings.prefix.encode()
    end = start[:-1] + bytes([start[-1] + 1])
    create = {"create_request": {"key": base64.b64encode(start).decode(), "range_end": base64.b64encode(end).decode()}}
    timeout = aiohttp.ClientTimeout(total=None)
    async with session.post(f"{settings.etcd}/v3/watch", data=msgspec.json.encode(create), timeout=timeout) as answer:
        async for line in answer.content:
            result = msgspec.json.decode(line)["result"]
            if result.get("created"):
                print("ready", flush=True)
            for event in result.get("events", ()):
                service, _, instance = base64.b64decode(event["kv"]["key"])[len(start) :].decode().partition("/")
                yield Change(service, instance, base64.b64decode(event["kv"].get("value", "")).decode())


async def run(settings: Settings) -> None:
    headers = {"Authorization": f"Bearer {settings.token}", "Content-Type": "application/json"}
    tls = ssl.create_default_context(cafile=settings.ca)
    async with (
        aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=tls)) as session,
        aiohttp.ClientSession() as registry,
    ):
        floor = Floor(settings, session)
        await floor.create()
        if not settings.etcd:
            print("ready", flush=True)
        async for change in watched(registry, settings) if settings.etcd else told():
            done = await floor.apply(change, time.monotonic_ns())
            print(msgspec.json.encode(done).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(run(msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)))
