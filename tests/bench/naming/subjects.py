"""The three that turn a change into an answer: netctl, the bare floor, and the do-nothing loop."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Protocol

import msgspec

from tests.bench.naming.clients import Registry
from tests.bench.naming.floor import Change, Done, Settings
from tests.bench.naming.site import RunningController, Site, key_of

Services = dict[str, dict[str, str]]
"""Service → instance → address."""
_LOOP_PREFIX = "/loop/"


class Subject(Protocol):
    """``services`` is what its services should answer at the moment; the caller keeps it up to date."""

    name: str
    services: Services

    def begin(self) -> None:
        """It is its turn."""

    def end(self) -> None:
        """It is another's turn."""

    def send(self, change: Change) -> None:
        """Have it made; do not wait for anything."""

    def hear(self) -> int:
        """After CoreDNS has answered: when the change began to be made, in monotonic ns."""


class Netctl:
    def __init__(self, registry: Registry, controller: RunningController, services: Services) -> None:
        self.name = "netctl"
        self.services = services
        self._registry = registry
        self._controller = controller
        self._sent_ns = 0

    def begin(self) -> None:
        self._controller.resume()
        self._controller.steady(len(self.services), 30)

    def end(self) -> None:
        self._controller.pause()

    def send(self, change: Change) -> None:
        value = entry(change.address) if change.address else None
        self._sent_ns = time.monotonic_ns()
        self._registry.send(key_of(change.service, change.instance), value)

    def hear(self) -> int:
        self._registry.hear()
        return self._sent_ns


class Floor:
    """A program that PUTs as soon as it is told."""

    def __init__(self, site: Site, services: Services, name: str = "floor", etcd: str = "") -> None:
        self.name = name
        self.services = services
        self.done: list[Done] = []
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", "mgmt", sys.executable, "-m", "tests.bench.naming.floor"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._write(Settings(**site.api, services=services, etcd=etcd, prefix=_LOOP_PREFIX))
        if self._read() != b"ready\n":
            raise RuntimeError(f"the {name} did not start")

    def begin(self) -> None:
        """It has nothing to do but when it is told."""

    def end(self) -> None:
        """Likewise."""

    def send(self, change: Change) -> None:
        self._write(change)

    def hear(self) -> int:
        self.done.append(msgspec.json.decode(self._read(), type=Done))
        return self.done[-1].sent

    def _write(self, message: Settings | Change) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(message) + b"\n")
        self._process.stdin.flush()

    def _read(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


class Loop(Floor):
    """It hears of changes from etcd, by a watch."""

    def __init__(self, site: Site, services: Services, registry: Registry) -> None:
        host, port = site.registry
        registry.put_all(
            {_key(service, name): a.encode() for service, some in services.items() for name, a in some.items()}
        )
        super().__init__(site, services, "do-nothing loop", f"http://{host}:{port}")
        self.told_ms: list[float] = []
        """From the request to etcd until the loop heard of it."""
        self._registry = registry
        self._sent_ns = 0

    def send(self, change: Change) -> None:
        self._sent_ns = time.monotonic_ns()
        self._registry.send(_key(change.service, change.instance), change.address.encode() or None)

    def hear(self) -> int:
        self._registry.hear()
        super().hear()
        self.told_ms.append((self.done[-1].heard - self._sent_ns) / 1e6)
        return self._sent_ns


def _key(service: str, instance: str) -> str:
    return f"{_LOOP_PREFIX}{service}/{instance}"


def entry(address: str) -> bytes:
    """An instance as a VM registers it."""
    return json.dumps({"address": address, "ports": {"http": 80}, "cloud": "a"}).encode()
