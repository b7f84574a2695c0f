"""Links delay, lose and cut, each with dice of its own."""

from __future__ import annotations

import asyncio

import pytest

from netctl.model.clock import MS
from netctl.model.ports import Endpoint
from netctl.sim.loop import START_NS, SimLoop
from netctl.sim.network import End, FakeNetwork, SimLink, Wires

NEAR, FAR = End("h1", "eth0", "10.9.0.1"), End("h2", "eth0", "10.9.0.2")
NEAR2, FAR2 = End("h1", "eth1", "10.9.1.1"), End("h3", "eth0", "10.9.1.2")


def heard(seed: int, *, other_link_busy: bool = False, loss: float = 0.0, cuts: int = 0) -> list[tuple[int, int]]:
    """(number, arrival in ns) of 50 packets sent every millisecond from h1 to h2."""
    loop = SimLoop()
    wires = Wires(loop)
    link = wires.add(SimLink(loop, seed, "one", (NEAR, FAR)))
    wires.add(SimLink(loop, seed, "two", (NEAR2, FAR2)))
    link.way_from("h1").losses.append(loss)
    link.way_from("h1").cuts = cuts
    got: list[tuple[int, int]] = []

    async def scenario() -> None:
        receiver = FakeNetwork(wires, "h2").open(Endpoint(FAR.address, 3784))
        receiver.on_readable(lambda: got.extend((d.data[0], loop.now_ns - START_NS) for d in receiver.receive()))
        sender = FakeNetwork(wires, "h1").open(Endpoint(NEAR.address, 0))
        other = FakeNetwork(wires, "h1").open(Endpoint(NEAR2.address, 0))
        for number in range(50):
            sender.send(bytes([number]), FAR.address, 3784)
            if other_link_busy:
                other.send(b"x", FAR2.address, 3784)
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)

    loop.run_until_complete(scenario())
    return got


def test_packets_arrive_in_order_after_the_links_delay() -> None:
    arrivals = heard(1)
    assert [number for number, _ in arrivals] == list(range(50))
    for number, at_ns in arrivals:
        assert 1 * MS <= at_ns - number * MS <= 1.2 * MS


def test_traffic_on_another_link_shifts_no_dice_of_this_one() -> None:
    assert heard(1, loss=0.3) == heard(1, loss=0.3, other_link_busy=True)


def test_loss_on_a_link_moves_no_packet_that_arrives() -> None:
    assert set(heard(1, loss=0.3)) < set(heard(1))


def test_another_seed_is_another_loss() -> None:
    assert heard(1, loss=0.3) != heard(2, loss=0.3)
    assert 20 <= len(heard(1, loss=0.3)) <= 45


def test_a_cut_way_carries_nothing() -> None:
    assert heard(1, cuts=1) == []


def test_the_other_way_of_a_half_cut_link_still_carries() -> None:
    loop = SimLoop()
    wires = Wires(loop)
    link = wires.add(SimLink(loop, 1, "one", (NEAR, FAR)))
    link.way_from("h2").cuts = 1

    async def scenario() -> tuple[int, int]:
        near = FakeNetwork(wires, "h1").open(Endpoint(NEAR.address, 3784))
        far = FakeNetwork(wires, "h2").open(Endpoint(FAR.address, 3784))
        near.send(b"x", FAR.address, 3784)
        far.send(b"y", NEAR.address, 3784)
        await asyncio.sleep(1)
        return len(near.receive()), len(far.receive())

    assert loop.run_until_complete(scenario()) == (0, 1)


@pytest.mark.parametrize("interface", ["eth0", None])
def test_the_ttl_and_the_interface_of_arrival_are_told(interface: str | None) -> None:
    loop = SimLoop()
    wires = Wires(loop)
    wires.add(SimLink(loop, 1, "one", (NEAR, FAR)))

    async def scenario() -> None:
        far = FakeNetwork(wires, "h2").open(Endpoint(FAR.address, 3784, interface=interface))
        FakeNetwork(wires, "h1").open(Endpoint(NEAR.address, 0, ttl=254)).send(b"x", FAR.address, 3784)
        await asyncio.sleep(1)
        (datagram,) = far.receive()
        assert (datagram.ttl, datagram.interface, datagram.source) == (254, "eth0", NEAR.address)

    loop.run_until_complete(scenario())
