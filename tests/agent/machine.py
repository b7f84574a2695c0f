"""A machine for tests of children: documents, processes and time."""

from __future__ import annotations

from typing import Any, cast

from netctl.agent.children import children_of
from netctl.agent.children.shell import Supervisor
from netctl.model.clock import SECOND, FakeClock
from netctl.model.gateway import BfdSettings, Gateway, Peer
from netctl.model.ports import Ports, ProcessId, ProcessSpec

PA = Peer("pa", "provider", "gw-pa", "10.0.1.1", "10.0.1.2", 65001, BfdSettings(50, 3), member_id=1)
PB = Peer("pb", "provider", "gw-pb", "10.0.2.1", "10.0.2.2", 65002, BfdSettings(50, 3), member_id=2)
GATEWAY = Gateway("ga1", "a", 65100, "10.0.1.1", "/run/netctl/ga1", (PA, PB))


class Machine:
    """Documents, processes and time of a machine that a test looks at."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.living: set[ProcessId] = set()
        self.started: list[str] = []
        self.signals: list[tuple[int, int]] = []
        self.clock = FakeClock()
        self.die_in_start = False

    def read(self, name: str) -> bytes | None:
        return self.documents.get(name)

    def write(self, name: str, data: bytes) -> None:
        self.documents[name] = data

    def start(self, spec: ProcessSpec) -> ProcessId:
        if self.die_in_start:
            raise KeyboardInterrupt
        self.started.append(spec.name)
        process = ProcessId(100 + len(self.started), self.clock.monotonic_ns() // SECOND)
        self.living.add(process)
        return process

    def alive(self, process: ProcessId) -> bool:
        return process in self.living

    def signal(self, process: ProcessId, number: int) -> bool:
        self.signals.append((process.pid, number))
        return True

    @property
    def ports(self) -> Ports:
        port = cast(Any, self)
        return Ports(self.clock, port, port, port, port, port)

    def supervisor(self, index: int = 1) -> Supervisor:
        return Supervisor(
            children_of(GATEWAY)[index], self.ports, lambda *_, **__: None, lambda _: "netctl: port taken"
        )
