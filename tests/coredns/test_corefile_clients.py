"""``dns/Corefile.cluster-stub`` and ``dns/Corefile.localdns``: real CoreDNSes in front of other real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from netctl.coredns.render import render_cluster_stub, render_local
from tests.coredns.clouds import HOST, Server, has, timed
from tests.real.etcd import free_ports

Zone = Callable[[str, str], Server]
"""(zone, address of ``orders`` in it) → a server of that zone, started."""


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[Zone]:
    with ExitStack() as stack:

        def start(zone: str, address: str) -> Server:
            (port,) = free_ports(1)
            corefile = tmp_path / f"Corefile.{port}"
            record = f'answer "{{{{ .Name }}}} 1 IN A {address}"'
            corefile.write_text(f"{zone}:{port} {{\n bind {HOST}\n template IN A {{\n {record}\n }}\n}}\n")
            return _started(stack, Server(corefile, port))

        yield start


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Callable[[str, int], Server]]:
    with ExitStack() as stack:

        def start(text: str, port: int) -> Server:
            corefile = tmp_path / "Corefile.client"
            corefile.write_text(text)
            return _started(stack, Server(corefile, port))

        yield start


def _started(stack: ExitStack, server: Server) -> Server:
    server.start()
    stack.callback(server.kill)
    return server


async def test_a_machines_own_name_server_asks_the_cloud_for_the_zone_and_others_for_the_rest(
    zone: Zone, client: Callable[[str, int], Server]
) -> None:
    cloud, world = zone("netctl.internal", "10.1.1.10"), zone(".", "192.0.2.1")
    (port,) = free_ports(1)
    text = render_local("netctl.internal", [f"{HOST}:{cloud.port}"], [f"{HOST}:{world.port}"], HOST, port)
    local = client(text, port)
    await local.until("orders.netctl.internal", has("10.1.1.10"))
    await local.until("www.example.com", has("192.0.2.1"))


async def test_a_silent_first_name_server_costs_no_more_than_a_moment(
    zone: Zone, client: Callable[[str, int], Server]
) -> None:
    first, second = zone("netctl.internal", "10.1.1.1"), zone("netctl.internal", "10.1.1.2")
    servers = [f"{HOST}:{server.port}" for server in (first, second)]
    (port,) = free_ports(1)
    local = client(render_local("netctl.internal", servers, servers, HOST, port), port)
    await local.until("orders.netctl.internal", has("10.1.1.1"))
    first.kill()
    _, took_s = await local.until("orders.netctl.internal", has("10.1.1.2"))
    assert took_s < 3  # the TTL of what it had from the first, and one health check
    assert (await timed(local.ask("web.netctl.internal")))[1] < 1


async def test_a_clusters_own_name_server_asks_netctls_for_the_zone(
    zone: Zone, client: Callable[[str, int], Server]
) -> None:
    cloud = zone("netctl.internal", "10.1.1.10")
    (port,) = free_ports(1)
    server = client(render_cluster_stub("netctl.internal", [f"{HOST}:{cloud.port}"], port), port)
    await server.until("orders.netctl.internal", has("10.1.1.10"))
    cloud.kill()
    for _ in range(3):
        answer, took_s = await timed(server.ask("orders.netctl.internal"))
        assert answer.data == ("10.1.1.10",)
        assert took_s < 1
