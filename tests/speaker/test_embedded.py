"""The embedded router between a gateway's speaker and BIRD, in namespaces."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from netctl.bgp.render import Neighbour, Router
from netctl.ipc.messages import Announce, AnnouncedRoute
from netctl.model.gateway import BfdSettings
from netctl.model.prefix import parse_prefix

pytestmark = pytest.mark.root


@pytest.fixture
def embedded(net: Any) -> Any:
    """10.0.1.2 (AS 65001) in ``router``, between ``gw`` (10.0.1.1) and ``far`` (10.0.2.1, AS 65200, BIRD)."""
    net.link("far", "far-pa", "10.0.2.1/30", "router", "to-far", "10.0.2.2/30")
    settings = {
        "name": "pa",
        "asn": 65001,
        "router_id": "10.0.1.2",
        "runtime_dir": str(net.folder / "r"),
        "neighbours": [
            {"name": "gw", "interface": "to-gw", "local": "10.0.1.2", "address": "10.0.1.1", "asn": 65100, "bfd": None},
            {
                "name": "far",
                "interface": "to-far",
                "local": "10.0.2.2",
                "address": "10.0.2.1",
                "asn": 65200,
                "bfd": {"interval_ms": 50, "multiplier": 3},
            },
        ],
        "announce": ["10.9.0.0/16"],
        "install": True,
    }
    (net.folder / "embedded.json").write_text(json.dumps(settings))
    log = (net.folder / "embedded.log").open("ab")
    return net.popen(
        "router", sys.executable, "-m", "netctl.lab.embedded", str(net.folder / "embedded.json"), stdout=log, stderr=log
    )


def embedded_children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def far(net: Any, embedded: Any) -> Any:
    neighbour = Neighbour("gw", "far-pa", "10.0.2.1", "10.0.2.2", 65001, BfdSettings(50, 3))
    return net.bird(Router("far", 65200, "10.0.2.1", (neighbour,), (parse_prefix("10.2.0.0/16"),)), "far")


async def test_routes_pass_through_and_go_at_once_when_bfd_sees_a_silent_cut(
    net: Any, embedded: Any, far: Any, speaker: Any, until_there: Any
) -> None:
    client = await speaker.client()
    await client.connection.send(Announce(1, (AnnouncedRoute(parse_prefix("10.1.0.0/16")),)))
    await client.until(lambda c: set(c.table) == {"10.2.0.0/16", "10.9.0.0/16"}, 30)
    assert client.table["10.2.0.0/16"].as_path == (65001, 65200)
    assert client.complete is not None
    assert client.complete.by == "end_of_rib"
    await until_there(lambda: far.learned() == {"10.1.0.0/16", "10.9.0.0/16"})
    assert "10.0.1.1" in net.run("router", "ip", "route", "get", "10.1.2.3")
    assert "10.0.2.1" in net.run("router", "ip", "route", "get", "10.2.3.4")
    for node, interface in (("far", "far-pa"), ("router", "to-far")):
        net.run(node, "tc", "qdisc", "replace", "dev", interface, "root", "blackhole")
    assert await client.until(lambda c: set(c.table) == {"10.9.0.0/16"}) < 1.0
    for node, interface in (("far", "far-pa"), ("router", "to-far")):
        net.run(node, "tc", "qdisc", "del", "dev", interface, "root")
    await client.until(lambda c: set(c.table) == {"10.2.0.0/16", "10.9.0.0/16"}, 20)
    await until_there(lambda: far.learned() == {"10.1.0.0/16", "10.9.0.0/16"})
    assert "10.0.2.1" in net.run("router", "ip", "route", "get", "10.2.3.4")


async def test_a_killed_router_leaves_no_program_behind(
    net: Any, embedded: Any, speaker: Any, until_there: Any
) -> None:
    client = await speaker.client()
    await client.until(lambda c: c.session.state == "up", 30)
    pid = embedded.pid
    children = embedded_children(pid)
    assert len(children) == 3
    embedded.kill()
    await until_there(lambda: not any(Path(f"/proc/{child}").exists() for child in children), 5)
    await client.until(lambda c: c.session.state != "up", 3)
