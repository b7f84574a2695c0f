"""``dns/Corefile.cloud``: what two real CoreDNSes answer that read a real API server through it."""

from __future__ import annotations

import asyncio

import pytest

from tests.coredns.clouds import Clouds, has, timed

OWN = ("10.1.1.10", "10.1.2.10")
OTHER = ("10.2.1.10", "10.2.2.10")


async def test_a_service_is_its_own_clouds_answer_by_each_of_its_names(clouds: Clouds) -> None:
    await clouds.a.until("orders.netctl.internal", has(*OWN))
    await clouds.b.until("orders.netctl.internal", has(*OTHER))
    for name in ("orders.a.netctl.internal", f"orders.{clouds.namespaces['a']}.svc.cluster.local"):
        answer = await clouds.a.ask(name)
        assert (answer.rcode, answer.data, answer.ttl_s) == ("NOERROR", OWN, 1)
        assert answer.authoritative


async def test_another_clouds_name_is_that_clouds_answer(clouds: Clouds) -> None:
    await clouds.a.until("orders.b.netctl.internal", has(*OTHER))
    await clouds.b.until("orders.a.netctl.internal", has(*OWN))
    assert (await clouds.a.ask("ledger.b.netctl.internal")).data == ("10.2.3.10",)
    assert (await clouds.a.ask("ledger.netctl.internal")).rcode == "NXDOMAIN"


async def test_names_are_found_however_they_are_written(clouds: Clouds) -> None:
    await clouds.a.until("orders.netctl.internal", has(*OWN))
    for name in ("ORDERS.NETCTL.INTERNAL", "oRdErS.NetCtl.internal", "Orders.A.netctl.Internal"):
        assert (await clouds.a.ask(name)).data == OWN, name


async def test_srv_records_point_to_names_of_the_zone_that_have_addresses(clouds: Clouds) -> None:
    await clouds.a.until("orders.netctl.internal", has(*OWN))
    records = (await clouds.a.ask("_http._tcp.orders.netctl.internal", "SRV")).data
    targets = sorted(record.split()[3] for record in records)
    assert targets == ["vm1.orders.netctl.internal.", "vm2.orders.netctl.internal."]
    assert {record.split()[2] for record in records} == {"80"}
    assert [(await clouds.a.ask(target)).data for target in targets] == [(address,) for address in OWN]


async def test_a_name_without_ipv6_addresses_exists_all_the_same(clouds: Clouds) -> None:
    await clouds.a.until("orders.netctl.internal", has(*OWN))
    answer = await clouds.a.ask("orders.netctl.internal", "AAAA")
    assert (answer.rcode, answer.data, answer.ttl_s) == ("NOERROR", (), 1)


@pytest.mark.parametrize(
    "name", ["nothing.netctl.internal", "orders.nocloud.netctl.internal", "nothing.a.netctl.internal"]
)
async def test_a_name_that_is_not_there_is_denied_for_a_second(clouds: Clouds, name: str) -> None:
    """For so long because of the zone's SOA record, which is in the answer."""
    await clouds.a.until("orders.netctl.internal", has(*OWN))
    answer = await clouds.a.ask(name)
    assert (answer.rcode, answer.ttl_s) == ("NXDOMAIN", 1)


async def test_the_zone_has_an_soa_record_of_its_own(clouds: Clouds) -> None:
    await clouds.a.until("orders.netctl.internal", has(*OWN))
    assert len((await clouds.a.ask("netctl.internal", "SOA")).data) == 1


async def test_a_name_of_another_zone_is_refused(clouds: Clouds) -> None:
    await clouds.a.until("orders.netctl.internal", has(*OWN))
    for name in ("example.com", "internal", "."):
        assert (await clouds.a.ask(name)).rcode == "REFUSED", name


async def test_a_change_is_in_the_own_clouds_answer_at_once(clouds: Clouds) -> None:
    """No cache of 1 s or more can be in front of it; how fast it really is, ``make bench B=names`` shows."""
    await clouds.a.until("orders.netctl.internal", has(*OWN))
    clouds.put("a", "orders", "10.1.9.9")
    _, took_s = await clouds.a.until("orders.netctl.internal", has("10.1.9.9"))
    assert took_s < 0.5


async def test_a_change_is_in_the_other_clouds_answer_within_the_ttl(clouds: Clouds) -> None:
    await clouds.a.until("orders.b.netctl.internal", has(*OTHER))
    clouds.put("b", "orders", "10.2.9.9")
    _, took_s = await clouds.a.until("orders.b.netctl.internal", has("10.2.9.9"))
    assert took_s < 2


async def test_a_cloud_whose_name_servers_died_is_answered_for_from_memory(clouds: Clouds) -> None:
    await clouds.a.until("orders.b.netctl.internal", has(*OTHER))
    clouds.b.kill()
    gone_s = 0.0
    while gone_s < 2.5:  # what it said is out of date after 1 s
        answer, took_s = await timed(clouds.a.ask("orders.b.netctl.internal"))
        assert answer.data == OTHER, clouds.a.log()[-2000:]
        assert took_s < 1
        gone_s += took_s + 0.01
        await asyncio.sleep(0.01)
    assert (await clouds.a.ask("orders.netctl.internal")).data == OWN


async def test_a_cloud_that_came_back_is_asked_again(clouds: Clouds) -> None:
    await clouds.a.until("orders.b.netctl.internal", has(*OTHER))
    clouds.b.kill()
    clouds.put("b", "orders", "10.2.9.9")
    clouds.b.start()
    await clouds.a.until("orders.b.netctl.internal", has("10.2.9.9"))


async def test_an_answer_that_is_too_long_for_udp_is_had_by_tcp(clouds: Clouds) -> None:
    addresses = tuple(f"10.1.{n // 250}.{n % 250 + 1}" for n in range(100))
    clouds.put("a", "many", *addresses)
    answer, _ = await clouds.a.until("many.netctl.internal", has(*addresses))
    assert answer.over_tcp
