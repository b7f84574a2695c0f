"""The shell on virtual time: two gateways' liveness against each other, and a client that stops reading."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from netctl.bfd.session import State
from netctl.fib.fake import FakeKernel
from netctl.ipc.frames import encode
from netctl.ipc.io import connect
from netctl.ipc.messages import Counters, Hello, MemberPointed
from netctl.liveness.shell import SOCKET, LivenessShell
from netctl.model.gateway import BfdSettings, Gateway, Peer
from netctl.model.ports import Ports
from netctl.model.routing import Link, Via
from netctl.sim.loop import SimClock, SimLoop
from netctl.sim.network import End, FakeNetwork, SimLink, Wires
from netctl.sim.processes import FakeProcesses
from netctl.sim.store import FakeStore
from netctl.sim.streams import FakeStreams


class Pair:
    """Two gateways joined by two links."""

    def __init__(self) -> None:
        self.loop = SimLoop()
        self.wires = Wires(self.loop)
        self.streams = FakeStreams(self.loop)
        for number in (1, 2):
            ends = End("g1", f"l{number}", f"10.0.{number}.1"), End("g2", f"l{number}", f"10.0.{number}.2")
            self.wires.add(SimLink(self.loop, 1, f"l{number}", ends))
        self.kernels = {name: FakeKernel([Link(f"l{n}", n, True, 1500) for n in (1, 2)]) for name in ("g1", "g2")}
        self.shells = {name: self.shell(name, own) for name, own in (("g1", 1), ("g2", 2))}

    def shell(self, name: str, own: int) -> LivenessShell:
        peers = tuple(
            Peer(
                name=f"p{n}",
                kind="provider",
                interface=f"l{n}",
                local=f"10.0.{n}.{own}",
                address=f"10.0.{n}.{3 - own}",
                asn=65000,
                bfd=BfdSettings(50, 3),
                member_id=n,
            )
            for n in (1, 2)
        )
        ports = Ports(
            clock=SimClock(self.loop),
            network=FakeNetwork(self.wires, name),
            streams=self.streams,
            kernel=self.kernels[name],
            store=FakeStore(),
            processes=FakeProcesses(self.loop, lambda spec: None),
        )
        return LivenessShell(Gateway(name, "a", 65100, "10.0.0.1", f"/run/{name}", peers), ports, seed=own)

    def run(self, scenario: Callable[[], Awaitable[None]]) -> None:
        async def bounded() -> None:
            tasks = [asyncio.create_task(shell.run()) for shell in self.shells.values()]
            await asyncio.sleep(3)
            await scenario()
            for shell in self.shells.values():
                shell.stop()
            await asyncio.gather(*tasks)

        self.loop.run_until_complete(bounded())

    def via(self, gateway: str, member: int) -> str:
        return self.kernels[gateway].dump().members[member].interface


def test_a_cut_link_moves_both_ends_members_within_the_detection_time_and_back_after_the_hold() -> None:
    pair = Pair()

    async def scenario() -> None:
        assert (pair.via("g1", 1), pair.via("g2", 1)) == ("l1", "l1")
        for way in pair.wires.links["l1"].ways:
            way.cuts += 1
        await asyncio.sleep(0.152)
        assert (pair.via("g1", 1), pair.via("g2", 1)) == ("l2", "l2")
        for way in pair.wires.links["l1"].ways:
            way.cuts -= 1
        await asyncio.sleep(34)
        assert (pair.via("g1", 1), pair.via("g2", 1)) == ("l1", "l1")

    pair.run(scenario)


def test_an_orderly_stop_of_one_end_moves_nothing_at_the_other() -> None:
    pair = Pair()

    async def scenario() -> None:
        before = pair.kernels["g2"].dump()
        pair.shells["g1"].stop()
        await asyncio.sleep(10)
        assert pair.kernels["g2"].dump() == before == pair.kernels["g2"].dump()
        assert before.members[1] == Via(b"\x0a\0\x01\x01", "l1")
        states = [path.session.state for path in pair.shells["g2"]._core._paths.values() if path.session]
        assert states == [State.DOWN, State.DOWN]

    pair.run(scenario)


def test_a_client_that_reads_no_more_is_let_go_and_the_others_are_served() -> None:
    pair = Pair()

    async def scenario() -> None:
        deaf = await pair.streams.connect(f"/run/g1/{SOCKET}")
        deaf.write(encode(Hello(program="agent", name="g1", pid=1)))
        good = await connect(pair.streams, f"/run/g1/{SOCKET}", Hello(program="agent", name="g1", pid=2))
        shell = pair.shells["g1"]
        await asyncio.sleep(0.1)
        assert len(shell._clients) == 2
        latest: Counters | None = None
        for _ in range(40_000):
            shell._core.counts["something"] += 1  # counters are told once a second; here as fast as they are read
            for told in shell._core._report():
                shell._tell(told)  # type: ignore[arg-type]
            message = await good.receive()
            while isinstance(message, MemberPointed):
                message = await good.receive()
            latest = message if isinstance(message, Counters) else latest
            if len(shell._clients) == 1:
                break
        assert shell._core.counts["clients_too_slow"] == 1
        assert latest is not None
        good.close()

    pair.run(scenario)


def test_an_interface_made_anew_while_events_were_lost_gets_new_sockets() -> None:
    pair = Pair()

    async def scenario() -> None:
        kernel, sockets = pair.kernels["g1"], pair.wires.sockets["g1"]
        before = list(sockets)
        kernel._links["l1"] = Link("l1", 9, True, 1500)
        kernel.overrun()
        await asyncio.sleep(2.5)
        kept = [socket for socket in before if socket in sockets]
        assert len(sockets) == len(before) == 4
        assert {socket._endpoint.interface for socket in kept} == {"l2"}

    pair.run(scenario)
