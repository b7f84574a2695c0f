"""What every ``Network`` promises, on this machine's loopback and on the simulator's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import pytest

from netctl.liveness.shell import UdpNetwork
from netctl.model.errors import EnvironmentLackError
from netctl.model.ports import Datagram, Datagrams, Endpoint, Network
from netctl.sim.loop import SimLoop
from netctl.sim.network import FakeNetwork, Wires

HERE = "127.0.0.1"


@dataclass
class NetworkHarness:
    loop: asyncio.AbstractEventLoop
    network: Network

    def run(self, scenario: Callable[[Network], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20):
                await scenario(self.network)

        self.loop.run_until_complete(bounded())


@pytest.fixture(params=["real", "fake"])
def harness(request: pytest.FixtureRequest) -> Iterator[NetworkHarness]:
    if request.param == "real":
        loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        network: Network = UdpNetwork()
    else:
        loop = SimLoop()
        network = FakeNetwork(Wires(loop), "h1")
    yield NetworkHarness(loop, network)
    loop.close()


async def arrivals(receiver: Datagrams, wanted: int) -> list[Datagram]:
    """At least ``wanted`` datagrams, by being called back."""
    got: list[Datagram] = []
    enough = asyncio.Event()

    def readable() -> None:
        got.extend(receiver.receive())
        if len(got) >= wanted:
            enough.set()

    receiver.on_readable(readable)
    await enough.wait()
    return got


def test_datagrams_arrive_in_order_with_their_source_and_ttl(harness: NetworkHarness) -> None:
    async def scenario(network: Network) -> None:
        receiver = network.open(Endpoint(HERE, 0))
        sender = network.open(Endpoint(HERE, 0, ttl=77))
        for number in range(50):
            sender.send(bytes([number]), HERE, receiver.port)
        got = await arrivals(receiver, 50)
        assert [datagram.data for datagram in got] == [bytes([number]) for number in range(50)]
        assert {(d.source, d.source_port, d.ttl) for d in got} == {(HERE, sender.port, 77)}
        receiver.close()
        sender.close()

    harness.run(scenario)


def test_receiving_when_nothing_waits_gives_nothing_at_once(harness: NetworkHarness) -> None:
    async def scenario(network: Network) -> None:
        receiver = network.open(Endpoint(HERE, 0))
        assert receiver.receive() == []
        receiver.close()

    harness.run(scenario)


def test_one_call_gives_at_most_256_and_the_rest_is_announced_again(harness: NetworkHarness) -> None:
    async def scenario(network: Network) -> None:
        receiver = network.open(Endpoint(HERE, 0))
        sender = network.open(Endpoint(HERE, 0))
        batches: list[int] = []
        done = asyncio.Event()

        def readable() -> None:
            batches.append(len(receiver.receive()))
            if sum(batches) >= 260:
                done.set()

        for _ in range(260):
            sender.send(b"x", HERE, receiver.port)
        await asyncio.sleep(0)
        receiver.on_readable(readable)
        await done.wait()
        assert batches == [256, 4]
        receiver.close()
        sender.close()

    harness.run(scenario)


def test_a_port_of_zero_is_one_of_the_range_that_bfd_wants_and_each_is_different(harness: NetworkHarness) -> None:
    async def scenario(network: Network) -> None:
        opened = [network.open(Endpoint(HERE, 0)) for _ in range(50)]
        ports = {endpoint.port for endpoint in opened}
        assert len(ports) == 50
        assert all(49152 <= port <= 65535 for port in ports)
        for endpoint in opened:
            endpoint.close()

    harness.run(scenario)


def test_a_taken_port_is_named(harness: NetworkHarness) -> None:
    async def scenario(network: Network) -> None:
        first = network.open(Endpoint(HERE, 0))
        with pytest.raises(EnvironmentLackError, match=rf"127\.0\.0\.1:{first.port} is taken"):
            network.open(Endpoint(HERE, first.port))
        first.close()
        network.open(Endpoint(HERE, first.port)).close()

    harness.run(scenario)


def test_an_address_this_host_has_not_got_is_named(harness: NetworkHarness) -> None:
    async def scenario(network: Network) -> None:
        with pytest.raises(EnvironmentLackError, match=r"no address 192\.0\.2\.77"):
            network.open(Endpoint("192.0.2.77", 3784))

    harness.run(scenario)


def test_an_interface_this_host_has_not_got_is_named(harness: NetworkHarness) -> None:
    async def scenario(network: Network) -> None:
        with pytest.raises(EnvironmentLackError, match="no interface none77"):
            network.open(Endpoint(HERE, 0, interface="none77"))

    harness.run(scenario)


def test_a_send_that_the_network_refuses_is_counted_and_raises_nothing(harness: NetworkHarness) -> None:
    async def scenario(network: Network) -> None:
        sender = network.open(Endpoint(HERE, 0))
        sender.send(b"x", "192.0.2.77", 9)  # from loopback there is no way there
        assert sum(sender.send_errors.values()) == 1
        sender.close()

    harness.run(scenario)


def test_what_arrives_after_close_is_told_to_nobody(harness: NetworkHarness) -> None:
    async def scenario(network: Network) -> None:
        receiver = network.open(Endpoint(HERE, 0))
        sender = network.open(Endpoint(HERE, 0))
        called: list[int] = []
        receiver.on_readable(lambda: called.append(1))
        other = network.open(Endpoint(HERE, 0))
        port = receiver.port
        receiver.close()
        receiver.close()
        sender.send(b"x", HERE, port)
        sender.send(b"y", HERE, other.port)
        assert [datagram.data for datagram in await arrivals(other, 1)] == [b"y"]
        assert called == []
        for endpoint in (sender, other):
            endpoint.close()

    harness.run(scenario)
