"""The rendered configurations, judged by the daemons' own checkers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from netctl.bgp import reasons
from netctl.bgp.events import Notified
from netctl.bgp.render import Neighbour, Router, render_bird, render_exabgp, render_frr
from netctl.config.gateway import parse_gateway
from netctl.kits import kit
from netctl.lab.daemons import gateway_file, router_of
from netctl.lab.topology import load_topology
from netctl.model.gateway import BfdSettings, Gateway, Peer
from netctl.model.prefix import parse_prefix

PEER = Peer("pa", "provider", "gw-pa", "10.0.1.1", "10.0.1.2", 65001)
GATEWAY = Gateway("ga1", "a", 65100, "10.0.1.1", "/run/netctl/ga1", (PEER,))
ROUTER = Router(
    "pa",
    65001,
    "10.0.1.2",
    (
        Neighbour("ga1", "pa-ga1", "10.0.1.2", "10.0.1.1", 65100, BfdSettings(50, 3)),
        Neighbour("s", "pa-gb-1", "10.0.3.2", "10.0.3.1", 65200),
    ),
    (parse_prefix("10.9.0.0/16"),),
)


@pytest.mark.parametrize("options", [{}, {"passive": True}, {"alternate": True}])
def test_exabgp_accepts_its_configuration(tmp_path: Path, options: dict[str, bool]) -> None:
    conf = tmp_path / "exabgp.conf"
    conf.write_text(render_exabgp(GATEWAY, PEER, "/bin/true", **options))
    done = subprocess.run([sys.executable, "-m", "exabgp", "validate", str(conf)], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alternate_configuration_differs_only_in_a_default_written_out() -> None:
    plain, alternate = (render_exabgp(GATEWAY, PEER, "/bin/true", alternate=a).splitlines() for a in (False, True))
    assert [line for line in alternate if line not in plain] == ["  connect 179;"]


@pytest.mark.parametrize("router", [ROUTER, Router("f", 65110, "10.0.1.9", ROUTER.neighbours)])
def test_bird_accepts_its_configuration(tmp_path: Path, router: Router) -> None:
    conf = tmp_path / "bird.conf"
    conf.write_text(render_bird(router))
    done = subprocess.run(["/usr/sbin/bird", "-p", "-c", str(conf)], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_frr_accepts_its_configuration(tmp_path: Path) -> None:
    for daemon, text in render_frr(ROUTER).items():
        conf = tmp_path / f"{daemon}.conf"
        conf.write_text(text)
        command = [
            f"/usr/lib/frr/{daemon}",
            "-C",
            "-f",
            str(conf),
            "-i",
            str(tmp_path / "pid"),
            "-z",
            str(tmp_path / "z"),
        ]
        command += ["--vty_socket", str(tmp_path), "--log", "stdout"]
        done = subprocess.run(command, capture_output=True, check=False, timeout=20)
        assert done.returncode == 0, done.stdout + done.stderr
        assert b"Unknown command" not in done.stdout + done.stderr


def examples() -> dict[str, str]:
    """What the packaged lab fills the templates with: provider pa is BIRD, pb is FRR, ga1 a gateway beside them."""
    topology = load_topology()
    rendered = {"pa-bird.conf": render_bird(router_of(topology, topology.node("pa")))}
    frr = render_frr(router_of(topology, topology.node("pb")))
    rendered |= {f"pb-{daemon}.conf": text for daemon, text in frr.items()}
    ga1 = parse_gateway(gateway_file(topology, topology.node("ga1")), "ga1.yaml")
    run = '"/usr/bin/python3" "-m" "netctl.speaker.relay" "/run/netctl/ga1/gateway.json" "pa"'
    (pa,) = (peer for peer in ga1.peers if peer.name == "pa")
    return rendered | {"ga1-exabgp-pa.conf": render_exabgp(ga1, pa, run)}


def test_the_kits_examples_are_exactly_what_is_rendered() -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in (kit("bgp") / "examples").iterdir()}
    assert there == examples()


@pytest.mark.parametrize(
    ("note", "words"),
    [
        (Notified("send", 2, 2, b""), "the peer says its AS is 65009, the file says 65001"),
        (Notified("receive", 2, 2, b""), "the peer refused our AS 65100: it expects another one"),
        (Notified("send", 4, 0, b""), "hold timer expired: nothing heard from the peer for 9 s"),
        (Notified("receive", 4, 0, b""), "hold timer expired: the peer heard nothing from us"),
        (Notified("receive", 6, 2, b"\x04work"), "the peer sent NOTIFICATION, ceased: administrative shutdown (work)"),
        (Notified("receive", 6, 4, b"\xffx"), "the peer sent NOTIFICATION, ceased: administrative reset"),
        (Notified("receive", 6, 10, b""), "the peer sent NOTIFICATION, ceased: BFD is down"),
        (Notified("receive", 77, 1, b""), "the peer sent NOTIFICATION, error 77 (code 77/1)"),
    ],
)
def test_notifications_in_plain_words(note: Notified, words: str) -> None:
    assert reasons.explain(note, PEER, 65100, 65009) == words
