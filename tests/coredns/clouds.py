"""Two clouds' CoreDNS, real, on loopback ports; each answers from a namespace of its own in one real API server."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from netctl.coredns.io import Answer, ask
from netctl.coredns.render import CorednsSettings, render_cloud
from netctl.lab.names.apply import Api
from netctl.lab.names.setup import manifests
from netctl.lab.parts import find_part
from tests.real.etcd import free_ports
from tests.real.kube import RealKube

ZONE = "netctl.internal"
HOST = "127.0.0.1"
Obj = dict[str, Any]


class Server:
    """A CoreDNS with a Corefile; ends with the process that started it."""

    def __init__(self, corefile: Path, port: int) -> None:
        self.port = port
        self._log = corefile.with_suffix(".log")
        self._argv = ["setpriv", "--pdeathsig", "KILL", str(find_part("coredns")), "-conf", str(corefile)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    async def ask(self, name: str, kind: str = "A", timeout_s: float = 5.0) -> Answer:
        return await ask(HOST, name, kind, timeout_s, self.port)

    async def until(self, name: str, wanted: Callable[[Answer], bool], within_s: float = 10.0) -> tuple[Answer, float]:
        """Ask until the answer is as wanted; the answer, and how many seconds it took."""
        began = time.monotonic()
        while not wanted(answer := await self.ask(name, timeout_s=0.3)):  # one that is about to start says nothing
            assert time.monotonic() - began < within_s, f"{name}: still {answer}\n{self.log()[-2000:]}"
            await asyncio.sleep(0.005)
        return answer, time.monotonic() - began


class Clouds:
    """``a`` and ``b``: their servers; ``put`` and ``delete`` change what is in a cloud's cluster."""

    def __init__(self, kube: RealKube, folder: Path) -> None:
        self.kube = kube
        api = Api(kube.url, kube.ca_file, kube.admin_token)
        for document in manifests():
            api.apply(document)
        token = api.account_token("vm", "netctl-coredns", 3600)
        kubeconfig = kube.kubeconfig(folder / "coredns.kubeconfig", token)
        self.namespaces = {"a": kube.namespace(), "b": kube.namespace()}
        ports = dict(zip("ab", free_ports(2), strict=True))
        self.servers: dict[str, Server] = {}
        for cloud, other in (("a", "b"), ("b", "a")):
            health, ready, metrics = (f"{HOST}:{port}" for port in free_ports(3))
            settings = CorednsSettings(
                zone=ZONE,
                cloud=cloud,
                namespaces=(self.namespaces[cloud],),
                kubeconfig=str(kubeconfig),
                others={other: (f"{HOST}:{ports[other]}",)},
                bind=(HOST,),
                port=ports[cloud],
                health=health,
                ready=ready,
                metrics=metrics,
            )
            corefile = folder / f"Corefile.{cloud}"
            corefile.write_text(render_cloud(settings))
            self.servers[cloud] = Server(corefile, ports[cloud])

    @property
    def a(self) -> Server:
        return self.servers["a"]

    @property
    def b(self) -> Server:
        return self.servers["b"]

    def put(self, cloud: str, service: str, *addresses: str, hostnames: bool = False) -> None:
        """The Service and its one slice, as the controller writes them; a second time: other addresses."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.namespaces[cloud]}/endpointslices"
        slice_: Obj = {
            "metadata": {
                "name": f"{service}-netctl-1",
                "labels": {
                    "kubernetes.io/service-name": service,
                    "endpointslice.kubernetes.io/managed-by": "netctl",
                    "service.kubernetes.io/headless": "",
                },
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
            "endpoints": [
                {"addresses": [a], "conditions": {"ready": True}} | ({"hostname": f"vm{n}"} if hostnames else {})
                for n, a in enumerate(addresses, 1)
            ],
        }
        services = f"/api/v1/namespaces/{self.namespaces[cloud]}/services"
        names = {item["metadata"]["name"] for item in self.kube.request("GET", services)["items"]}
        if service in names:
            self.kube.request("PUT", f"{path}/{service}-netctl-1", slice_)
            return
        spec = {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}
        self.kube.request("POST", services, {"metadata": {"name": service}, "spec": spec})
        self.kube.request("POST", path, slice_)

    def start(self) -> None:
        for server in self.servers.values():
            server.start()

    def stop(self) -> None:
        for server in self.servers.values():
            server.kill()


async def timed(question: Awaitable[Answer]) -> tuple[Answer, float]:
    """The answer, and how many seconds it took."""
    began = time.monotonic()
    return await question, time.monotonic() - began


def has(*addresses: str) -> Callable[[Answer], bool]:
    """Exactly these."""
    return lambda answer: answer.data == tuple(sorted(addresses))
