"""A namespace of a real cluster, and of the fake one, alike for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from netctl.kube.fake import FakeKube
from netctl.kube.fake.io import FakeKubeApi
from netctl.kube.io import open_kube
from netctl.model.kube import (
    ENDPOINT_SLICES,
    HEADLESS_LABEL,
    MANAGED_BY_LABEL,
    MANAGER,
    SERVICE_NAME_LABEL,
    Obj,
)
from netctl.model.ports import KubeApi
from tests.real.kube import EVERYTHING, RealKube, shared_kube

Make = Callable[[], KubeApi]


class Namespace:
    """``api`` is a client of it, ``open`` makes more."""

    def __init__(self, name: str, make: Make, fake: FakeKube | None) -> None:
        self.name = name
        self.open = make
        self.fake = fake
        self.api = make()


def fake_namespace() -> Namespace:
    kube = FakeKube()
    kube.add_namespace("vm")
    return Namespace("vm", lambda: FakeKubeApi(kube, "me"), kube)


def real_namespace(folder: Path, kube: RealKube | None = None) -> Namespace:
    """As a ServiceAccount that may do anything in it."""
    real = kube or shared_kube()
    name = real.namespace()
    cluster = real.cluster(folder / "kubeconfig", name, real.service_account(name, rules=EVERYTHING))
    return Namespace(name, lambda: open_kube(cluster), None)


def service(name: str, **spec: Any) -> Obj:
    ports = [{"name": "http", "port": 80}]
    return {"metadata": {"name": name, "labels": {"a": "b"}}, "spec": {"clusterIP": "None", "ports": ports, **spec}}


def endpoint_slice(name: str, *addresses: str, owner: Obj | None = None, **fields: Any) -> Obj:
    metadata: Obj = {
        "name": name,
        "labels": {SERVICE_NAME_LABEL: "orders", MANAGED_BY_LABEL: MANAGER, HEADLESS_LABEL: ""},
    }
    if owner is not None:
        uid = owner["metadata"]["uid"]
        metadata["ownerReferences"] = [{"apiVersion": "v1", "kind": "Service", "name": "orders", "uid": uid}]
    return {
        "metadata": metadata,
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}, "zone": "a"} for address in addresses],
        **fields,
    }


async def until(true: Callable[[], Awaitable[bool]] | Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait for a condition."""
    deadline_s = time.monotonic() + within_s
    while True:
        found = true()
        if await found if isinstance(found, Awaitable) else found:
            return
        assert time.monotonic() < deadline_s, "it did not come true in time"
        await asyncio.sleep(0.01)


async def delete(api: KubeApi, namespace: str, obj: Obj) -> None:
    """A slice, that very version."""
    meta = obj["metadata"]
    await api.delete(
        ENDPOINT_SLICES, namespace, meta["name"], uid=meta["uid"], resource_version=meta["resourceVersion"]
    )
