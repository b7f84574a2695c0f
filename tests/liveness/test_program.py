"""The liveness program against BIRD and FRR, on a real kernel, in network namespaces."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time

import msgspec
import pytest

from netctl.ipc.messages import Arm, Armed, ArmedSession, BfdSession, MemberPointed, Shutdown
from netctl.model.gateway import BfdSettings, Gateway, Peer
from tests.liveness.nodes import NodeSet
from tests.liveness.providers import Site, all_up, frr_admin_down, listening

pytestmark = pytest.mark.root  # FRR and BIRD run as users of their own


@pytest.mark.parametrize("daemon", ["bird", "frr"])
async def test_a_silent_cut_is_detected_and_the_member_moved_within_the_detection_time(
    nodes: NodeSet, daemon: str
) -> None:
    site = Site(nodes, (daemon, "bird"))
    async with listening(site) as heard:
        await heard.until(lambda: all_up(heard) and heard.states["pa"].detection_ms == 150)
        assert heard.states["pa"].interval_ms == 50
        assert site.members() == {1001: "10.0.1.2", 1002: "10.0.2.2"}
        site.nodes.cut(*site.ends["pa"])
        cut_at = time.monotonic()
        await heard.until(lambda: heard.at["pa"] == "pb")
        when, pointed = heard.first(cut_at, lambda m: isinstance(m, MemberPointed))
        assert site.members() == {1001: "10.0.2.2", 1002: "10.0.2.2"}
        assert heard.states["pa"].diagnostic == "control detection time expired"
        # From the last packet heard at most the detection time; this machine may be late by some scheduling.
        assert (when - cut_at) * 1000 < 150 + 50
        print(
            f"{daemon}: member moved {(when - cut_at) * 1000:.1f} ms after the cut, {pointed.decision_us} us to decide"
        )
        site.nodes.mend(*site.ends["pa"])
        await heard.until(lambda: heard.states["pa"].state == "up")
        assert heard.at["pa"] == "pb"  # held until the agent's word
        await heard.connection.send(Arm(generation=1, sessions=(ArmedSession("pa", ("pb",), "now"),)))
        await heard.until(lambda: heard.at["pa"] == "pa")
        assert site.members() == {1001: "10.0.1.2", 1002: "10.0.2.2"}


async def test_a_daemons_admin_down_moves_no_member(nodes: NodeSet) -> None:
    site = Site(nodes, ("frr", "bird"))  # BIRD 2.0.12 says nothing when it is told to stop: FRR does
    async with listening(site) as heard:
        await heard.until(lambda: all_up(heard))
        await asyncio.to_thread(frr_admin_down, nodes, "pa", "10.0.1.1")
        await heard.until(lambda: heard.states["pa"].state == "down")
        assert heard.states["pa"].remote_state == "admin_down", heard.states
        assert heard.at["pa"] == "pa"
        assert site.members()[1001] == "10.0.1.2"


async def test_a_process_that_was_stopped_blames_nobody_and_moves_nothing(nodes: NodeSet) -> None:
    # Its neighbours have lost it meanwhile and say so; its own late clock is no evidence.
    site = Site(nodes)
    async with listening(site) as heard:
        await heard.until(lambda: all_up(heard))
        os.kill(site.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        await asyncio.to_thread(lambda: time.sleep(1))
        os.kill(site.pid, signal.SIGCONT)
        await heard.until(lambda: all_up(heard) and heard.states["pa"].ups == heard.states["pb"].ups == 2)
        since = [message for when, message in heard.messages if when > stopped]
        reasons = {message.diagnostic for message in since if isinstance(message, BfdSession)}
        assert reasons == {"neighbor signaled session down", "no diagnostic"}
        assert not [message for message in since if isinstance(message, MemberPointed)]
        assert site.members() == {1001: "10.0.1.2", 1002: "10.0.2.2"}


async def test_shutdown_says_admin_down_so_that_neighbours_do_not_have_to_wait(nodes: NodeSet) -> None:
    site = Site(nodes)
    async with listening(site) as heard:
        await heard.until(lambda: all_up(heard))
        before = site.members()
        await heard.connection.send(Shutdown(reason="test"))
        ended_at = time.monotonic()
        birdc = f"birdc -s {nodes.folder}/pa.ctl show bfd sessions"
        shown = await asyncio.to_thread(nodes.run, "pa", birdc)
        while " Up " in shown:
            shown = await asyncio.to_thread(nodes.run, "pa", birdc)
        assert time.monotonic() - ended_at < 0.1  # sooner than silence would have told
        assert await asyncio.to_thread(site.program.wait, 20) == 0
        assert site.members() == before
        assert not (site.runtime / "liveness.sock").exists()


async def test_kill_9_leaves_members_and_a_restart_adopts_them(nodes: NodeSet) -> None:
    site = Site(nodes)
    async with listening(site) as heard:
        await heard.until(lambda: all_up(heard))
        site.nodes.cut(*site.ends["pa"])
        await heard.until(lambda: heard.at["pa"] == "pb")
    os.kill(site.pid, signal.SIGKILL)
    assert site.members() == {1001: "10.0.2.2", 1002: "10.0.2.2"}
    site.start()
    async with listening(site) as heard:
        await heard.until(lambda: "pb" in heard.states and heard.states["pb"].state == "up")
        assert heard.at == {"pa": "pb", "pb": "pb"}
        assert site.members() == {1001: "10.0.2.2", 1002: "10.0.2.2"}


async def test_a_member_lost_with_its_links_carrier_is_made_again_when_the_link_returns(nodes: NodeSet) -> None:
    site = Site(nodes)
    async with listening(site) as heard:
        await heard.until(lambda: all_up(heard))
        await asyncio.to_thread(nodes.run, "pa", "ip link set far down")
        await heard.until(lambda: heard.at["pa"] == "pb")
        assert site.members() == {1001: "10.0.2.2", 1002: "10.0.2.2"}
        await asyncio.to_thread(nodes.run, "pb", "ip link set far down")  # now both: nothing is left to point at
        await heard.until(lambda: heard.states["pb"].state == "down")
        assert site.members() == {}
        since = time.monotonic()
        await asyncio.to_thread(nodes.run, "pb", "ip link set far up")
        await heard.until(
            lambda: {m.peer for t, m in heard.messages if t > since and isinstance(m, MemberPointed)} > {"pa"}
        )
        assert site.members() == {1001: "10.0.2.2", 1002: "10.0.2.2"}


async def test_an_interface_that_is_made_anew_gets_its_session_and_member_back(nodes: NodeSet) -> None:
    site = Site(nodes)
    async with listening(site) as heard:
        await heard.until(lambda: all_up(heard))
        await asyncio.to_thread(nodes.run, "gw", "ip link delete gw-pa")
        await heard.until(lambda: heard.states["pa"].state == "down")
        ends = ("gw", "gw-pa", "10.0.1.1/30"), ("pa", "far", "10.0.1.2/30")
        await asyncio.to_thread(nodes.link, *ends)
        await heard.until(lambda: heard.states["pa"].state == "up")
        await heard.connection.send(Arm(generation=1, sessions=(ArmedSession("pa", ("pb",), "now"),)))
        await heard.until(lambda: heard.at["pa"] == "pa")
        assert site.members() == {1001: "10.0.1.2", 1002: "10.0.2.2"}


async def test_garbage_on_the_bfd_port_and_on_the_socket_is_counted_and_changes_nothing(nodes: NodeSet) -> None:
    site = Site(nodes)
    async with listening(site) as heard:
        await heard.until(lambda: all_up(heard))
        script = (
            "import os, socket\n"
            "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            "s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)\n"
            "for n in range(300): s.sendto(os.urandom(n % 60), ('10.0.1.1', 3784))\n"
            "s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)\n"
            "s.sendto(bytes(24), ('10.0.1.1', 3784))\n"
        )
        (nodes.folder / "garbage.py").write_text(script)
        await asyncio.to_thread(nodes.run, "pa", f"{sys.executable} {nodes.folder}/garbage.py")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(site.runtime / "liveness.sock"))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            await heard.until(lambda: heard.counters.get("socket_refused{reason=frame_too_long}") == 1)
        await heard.until(lambda: heard.counters.get("bfd_discarded{reason=ttl}") == 1)
        discarded = sum(n for name, n in heard.counters.items() if name.startswith("bfd_discarded"))
        assert discarded == 301
        assert all_up(heard)
        assert (heard.states["pa"].downs, heard.at["pa"]) == (0, "pa")


async def test_only_the_highest_generation_arms(nodes: NodeSet) -> None:
    site = Site(nodes)
    async with listening(site) as old, listening(site) as new:
        await new.connection.send(Arm(generation=5, sessions=()))
        await new.until(lambda: any(isinstance(m, Armed) for _, m in new.messages))
        await old.connection.send(Arm(generation=4, sessions=()))
        await old.until(lambda: any(isinstance(m, Armed) for _, m in old.messages))
        _, answer = old.first(0, lambda m: isinstance(m, Armed))
        assert answer.generation == 5
        assert answer.error


@pytest.mark.parametrize("what", ["port", "socket", "file", "usage"])
def test_what_keeps_it_from_running_is_one_line_with_the_exit_code(nodes: NodeSet, what: str) -> None:
    nodes.add("gw")
    nodes.run("gw", "ip address add 10.0.1.1/32 dev lo")
    peer = Peer("pa", "provider", "lo", "10.0.1.1", "10.0.1.2", 65001, BfdSettings(50, 3), member_id=1001)
    path = nodes.folder / "gateway.json"
    path.write_bytes(msgspec.json.encode(Gateway("ga1", "a", 65100, "10.0.1.1", str(nodes.folder), (peer,))))
    holder = {
        "port": "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.bind(('0.0.0.0',3784))",
        "socket": f"s=socket.socket(socket.AF_UNIX);s.bind('{nodes.folder}/liveness.sock');s.listen()",
    }.get(what, "pass")
    code = f"import socket,subprocess,sys;{holder};sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    arguments = {"file": [str(nodes.folder / "none.json")], "usage": []}.get(what, [str(path)])
    argv = [sys.executable, "-c", code, sys.executable, "-m", "netctl.liveness", *arguments]
    done = subprocess.run([*nodes.entered("gw"), *argv], capture_output=True, text=True, timeout=20, check=False)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    expected = {
        "port": (3, "UDP 10.0.1.1:3784 is taken"),
        "socket": (3, "another program listens"),
        "file": (2, "none.json"),
        "usage": (2, "usage"),
    }
    code_wanted, words = expected[what]
    assert (done.returncode, len(lines)) == (code_wanted, 1), done.stderr
    assert words in lines[0]
