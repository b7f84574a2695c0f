"""A registry and two clusters, real: an etcd, and two namespaces of one kube-apiserver."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import aiohttp

from netctl.model.controller import Controller, FileSource, SourceSettings
from tests.controller.running import RunningController, until
from tests.real.etcd import RealEtcd
from tests.real.kube import RealKube

SLICES = "/apis/discovery.k8s.io/v1"


class RealSite:
    """``clusters``: name → namespace. Everything in it is gone with the test."""

    def __init__(self, folder: Path, etcd: RealEtcd, kube: RealKube) -> None:
        self.folder = folder
        self.etcd = etcd
        self.kube = kube
        self.clusters = {name: kube.namespace() for name in ("a", "b")}
        self.logs: list[tuple[str, str, dict[str, object]]] = []
        self.tokens = {name: kube.service_account(namespace) for name, namespace in self.clusters.items()}

    def settings(self, identity: str = "c1", sources: tuple[SourceSettings, ...] = (), **other: Any) -> Controller:
        clusters = tuple(
            self.kube.cluster(self.folder / f"{name}.kubeconfig", namespace, self.tokens[name], name)
            for name, namespace in self.clusters.items()
        )
        runtime = self.folder / identity
        runtime.mkdir(exist_ok=True)
        return Controller(identity, str(runtime), sources or (self.etcd.source(),), clusters, "a", **other)

    def controller(self, identity: str = "c1", **other: Any) -> RunningController:
        return RunningController(self.settings(identity, **other), self.logs)

    # --- the registry ---

    async def put(self, service: str, instance: str, address: str, cloud: str = "a", **fields: Any) -> None:
        value = {"address": address, "ports": {"http": 80}, "cloud": cloud, **fields}
        await self.put_raw(f"{service}/{instance}", json.dumps(value).encode())

    async def put_raw(self, key: str, value: bytes) -> None:
        await self._etcd("put", {"key": _b64(f"/vm/{key}".encode()), "value": _b64(value)})

    async def delete(self, key: str) -> None:
        await self._etcd("deleterange", {"key": _b64(f"/vm/{key}".encode())})

    async def wipe(self) -> None:
        await self._etcd("deleterange", {"key": _b64(b"/vm/"), "range_end": _b64(b"/vm0")})

    async def wipe_service(self, service: str) -> None:
        start = f"/vm/{service}/".encode()
        await self._etcd("deleterange", {"key": _b64(start), "range_end": _b64(start[:-1] + b"0")})

    @staticmethod
    def file_source(path: Path) -> SourceSettings:
        return SourceSettings("legacy", file=FileSource(str(path)))

    async def _etcd(self, verb: str, body: dict[str, str]) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.etcd.url}/v3/kv/{verb}", json=body) as answer,
        ):
            assert answer.status == 200, await answer.text()

    # --- the clusters ---

    def path(self, cluster: str, resource: str, name: str = "") -> str:
        api = SLICES if resource == "endpointslices" else "/api/v1"
        if resource == "leases":
            api = "/apis/coordination.k8s.io/v1"
        return f"{api}/namespaces/{self.clusters[cluster]}/{resource}" + (f"/{name}" if name else "")

    def objects(self, cluster: str, resource: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.kube.request("GET", self.path(cluster, resource))["items"]
        return items

    def answers(self, cluster: str, service: str) -> dict[str, bool]:
        """Address → ready, of all slices with the service's label."""
        found: dict[str, bool] = {}
        for one in self.objects(cluster, "endpointslices"):
            if one["metadata"]["labels"].get("kubernetes.io/service-name") == service:
                for endpoint in one["endpoints"] or ():
                    found[endpoint["addresses"][0]] = endpoint["conditions"]["ready"]
        return found

    def service(self, cluster: str, name: str) -> dict[str, Any] | None:
        try:
            return self.kube.request("GET", self.path(cluster, "services", name))
        except HTTPError as error:
            if error.code != 404:
                raise
            return None

    def versions(self) -> dict[str, str]:
        """The version of everything but Leases: what a write would change."""
        return {
            f"{cluster}/{resource}/{one['metadata']['name']}": one["metadata"]["resourceVersion"]
            for cluster in self.clusters
            for resource in ("services", "endpointslices", "configmaps")
            for one in self.objects(cluster, resource)
        }

    async def ready(self, cluster: str, service: str, *addresses: str, within_s: float = 10.0) -> float:
        """Wait until these and no others are ready; how long it took, in seconds."""
        wanted = set(addresses)
        return await until(lambda: {a for a, r in self.answers(cluster, service).items() if r} == wanted, within_s)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
