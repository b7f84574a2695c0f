"""The speaker against real BIRD and FRR."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netctl.ipc.messages import Announce, AnnouncedRoute, BfdSession, ResetSession, Shutdown
from netctl.model.gateway import MEMBER_ID_BASE, BfdSettings
from netctl.model.prefix import parse_prefix

pytestmark = pytest.mark.root

THEIRS = {"10.2.0.0/16", "10.3.0.0/16", "10.4.1.0/24"}


def announce(generation: int, *texts: str) -> Announce:
    return Announce(generation, tuple(AnnouncedRoute(parse_prefix(text)) for text in texts))


@pytest.fixture(params=["bird", "frr"])
def daemon(request: pytest.FixtureRequest, net: Any, router: Any) -> Any:
    return request.getfixturevalue(request.param)


async def test_routes_go_both_ways_and_are_withdrawn(daemon: Any, speaker: Any, until_there: Any) -> None:
    client = await speaker.client()
    await client.until(lambda c: c.complete is not None)
    assert set(client.table) == THEIRS
    assert client.complete.by == ("end_of_rib" if daemon.refreshes else "quiet")
    assert client.table["10.2.0.0/16"].as_path == (65001,)
    assert client.session.state == "up"
    assert client.session.remote_router_id == "10.0.1.2"
    await client.connection.send(announce(1, "10.1.0.0/16", "10.1.255.10/32"))
    await until_there(lambda: daemon.learned() == {"10.1.0.0/16", "10.1.255.10/32"})
    await client.connection.send(announce(2, "10.1.0.0/16"))
    await until_there(lambda: daemon.learned() == {"10.1.0.0/16"})


async def test_a_peer_that_dies_and_returns_is_back_in_seconds_with_our_routes(
    daemon: Any, speaker: Any, until_there: Any
) -> None:
    client = await speaker.client()
    await client.until(lambda c: c.complete is not None)
    await client.connection.send(announce(1, "10.1.0.0/16"))
    await until_there(lambda: daemon.learned() == {"10.1.0.0/16"})
    before = client.session.sessions
    daemon.kill()
    assert await client.until(lambda c: c.session.state != "up") < 1
    assert client.session.fact
    assert not client.table
    await client.until(lambda c: "does BGP run there" in c.session.reason)
    daemon.start() if hasattr(daemon, "conf") else daemon.start("bgpd")
    assert await client.until(lambda c: c.session.state == "up") < 4
    assert client.session.sessions > before, client.story()
    await client.until(lambda c: set(c.table) == THEIRS and c.complete is not None)
    await until_there(lambda: daemon.learned() == {"10.1.0.0/16"})


async def test_a_wrong_asn_at_the_other_end_is_said_in_plain_words(frr_or_bird_with_asn: Any, speaker: Any) -> None:
    frr_or_bird_with_asn(65009)
    client = await speaker.client()
    await client.until(lambda c: c.session.reason == "the peer says its AS is 65009, the file says 65001")
    count = len(client.messages)  # the reason stays while it is tried again
    await client.until(lambda c: any(getattr(m, "state", "") == "connecting" for m in c.messages[count:]))
    assert client.session.reason == "the peer says its AS is 65009, the file says 65001"


async def test_a_peer_that_expects_another_asn_is_said_in_plain_words(net: Any, router: Any, gateway: Any) -> None:
    net.bird(replace(router, neighbours=(replace(router.neighbours[0], asn=65111),)))
    client = await net.speaker(gateway).client()
    await client.until(lambda c: "refused our AS 65100" in c.session.reason)


async def test_a_killed_exabgp_takes_the_relay_and_its_socket_along(bird: Any, speaker: Any, until_there: Any) -> None:
    client = await speaker.client()
    await client.connection.send(announce(1, "10.1.0.0/16"))
    await until_there(lambda: bird.learned() == {"10.1.0.0/16"})
    speaker.kill()
    await client.until(lambda c: c.ended, 3)
    await until_there(lambda: not Path(speaker.socket).exists(), 3)
    assert client.session.state == "up"  # no fact about the peer came: its routes are to stay, stale
    await until_there(lambda: bird.learned() == set(), 3)  # and the peer keeps none of ours
    speaker.start()
    client = await speaker.client()
    await client.until(lambda c: c.complete is not None and set(c.table) == THEIRS)


async def test_a_killed_relay_is_replaced_by_one_that_knows_everything_again(
    daemon: Any, speaker: Any, until_there: Any
) -> None:
    client = await speaker.client()
    await client.until(lambda c: c.complete is not None)
    await client.connection.send(announce(1, "10.1.0.0/16", "10.1.255.10/32"))
    await until_there(lambda: daemon.learned() == {"10.1.0.0/16", "10.1.255.10/32"})
    os.kill(speaker.relay_pid(), signal.SIGKILL)
    await client.until(lambda c: c.ended, 3)
    client = await speaker.client()
    await client.until(lambda c: c.complete is not None and set(c.table) == THEIRS)
    assert client.session.state == "up"
    if daemon.refreshes:  # FRR does not before it has sent an End-of-RIB, so it gets a new session
        assert client.session.sessions == 1
    await until_there(lambda: daemon.learned() == {"10.1.0.0/16", "10.1.255.10/32"})
    await client.connection.send(announce(2, "10.1.0.0/16"))
    await until_there(lambda: daemon.learned() == {"10.1.0.0/16"})


async def test_a_reset_session_is_back_within_three_seconds(daemon: Any, speaker: Any) -> None:
    client = await speaker.client()
    await client.until(lambda c: c.complete is not None)
    before = client.session.sessions
    await client.connection.send(ResetSession("asked by an operator"))
    await client.until(lambda c: c.session.state != "up", 2)
    assert client.session.reason == "reset by us: asked by an operator"
    assert client.session.fact
    assert await client.until(lambda c: c.session.sessions > before and c.session.state == "up") < 3
    await client.until(lambda c: set(c.table) == THEIRS)


async def test_shutdown_withdraws_says_so_and_ends_the_program(bird: Any, speaker: Any, until_there: Any) -> None:
    client = await speaker.client()
    await client.connection.send(announce(1, "10.1.0.0/16"))
    await until_there(lambda: bird.learned() == {"10.1.0.0/16"})
    await client.connection.send(Shutdown("stopping"))
    await client.until(lambda c: c.ended, 5)
    assert (client.session.state, client.session.fact) == ("down", False)
    await until_there(lambda: speaker.process.poll() is not None, 5)
    assert not os.access(speaker.socket, os.F_OK)
    assert bird.learned() == set()


async def test_after_a_long_silent_cut_the_session_is_back_within_two_seconds(
    net: Any, bird: Any, speaker: Any
) -> None:
    client = await speaker.client()
    await client.until(lambda c: c.complete is not None)
    for node, interface in (("gw", "gw-pa"), ("router", "to-gw")):
        net.run(node, "tc", "qdisc", "replace", "dev", interface, "root", "blackhole")
    await client.until(lambda c: c.session.state == "down", 12)
    assert "nothing heard from the peer for 9 s" in client.session.reason
    started = time.monotonic()
    await client.until(lambda c: "does not answer" in c.session.reason and time.monotonic() > started + 9)
    for node, interface in (("gw", "gw-pa"), ("router", "to-gw")):
        net.run(node, "tc", "qdisc", "del", "dev", interface, "root")
    assert await client.until(lambda c: c.session.state == "up") < 2


async def test_prefixes_beyond_max_prefixes_are_refused_and_the_session_stays(
    net: Any, bird: Any, gateway: Any
) -> None:
    peer = replace(gateway.peers[0], max_prefixes=2)
    client = await net.speaker(replace(gateway, peers=(peer,))).client()
    await client.until(lambda c: c.complete is not None)
    assert len(client.table) == 2
    assert client.session.state == "up"
    assert "more than max_prefixes (2)" in client.session.reason
    await client.until(lambda c: c.counters.get("bgp_discarded{reason=max_prefixes}") == 1)


async def test_twice_max_prefixes_ends_the_session_and_holds_off(net: Any, bird: Any, gateway: Any) -> None:
    peer = replace(gateway.peers[0], max_prefixes=1)
    client = await net.speaker(replace(gateway, peers=(peer,))).client()
    await client.until(lambda c: "at least 2 prefixes, max_prefixes is 1" in c.session.reason)
    count, held_since = client.session.sessions, time.monotonic()
    await client.until(lambda _: time.monotonic() > held_since + 6)  # twice as long as it takes to try again
    assert (client.session.state, client.session.sessions) == ("down", count), client.story()
    assert "Established" not in bird.ask("show", "protocols")


async def test_a_client_that_stops_reading_slows_nobody(net: Any, router: Any, gateway: Any) -> None:
    """A table of 40,000 prefixes comes and goes; what waits for the stopped client is beyond any socket's buffer."""
    prefixes = tuple(bytes((24, 20 + (i >> 16), (i >> 8) & 255, i & 255, 0)) for i in range(40_000))
    bird = net.bird(replace(router, announce=prefixes))
    speaker = net.speaker(gateway)
    good, stopped = await speaker.client(), await speaker.client()
    await good.until(lambda c: c.complete is not None and len(c.table) == 40_000, 60)
    stopped.task.cancel()
    for _ in range(3):
        bird.ask("disable", "announced")
        await good.until(lambda c: not c.table, 30)
        bird.ask("enable", "announced")
        await good.until(lambda c: len(c.table) == 40_000, 30)
    assert good.session.sessions == 1


async def test_bfd_of_the_kit_comes_up_and_its_end_ends_the_session(
    net: Any, bfd: BfdSettings, daemon: Any, gateway: Any
) -> None:
    gateway = replace(gateway, peers=(replace(gateway.peers[0], bfd=bfd, member_id=MEMBER_ID_BASE + 1),))
    speaker = net.speaker(gateway)
    liveness = net.popen("gw", sys.executable, "-m", "netctl.liveness", str(speaker.path), stderr=subprocess.DEVNULL)
    client = await speaker.client()
    watch = await net.client(f"{gateway.runtime_dir}/liveness.sock")
    await watch.until(lambda c: any(isinstance(m, BfdSession) and m.state == "up" for m in c.messages))
    await client.until(lambda c: c.complete is not None)
    assert set(client.table) == THEIRS
    count = client.session.sessions
    liveness.kill()
    assert await client.until(lambda c: c.session.state != "up" or c.session.sessions > count) < 2
    assert "the peer sent NOTIFICATION, ceased" in client.story()  # subcode 10 from FRR, 0 from BIRD
