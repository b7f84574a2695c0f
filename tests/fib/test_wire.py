"""The codec: what the kernel gets and what we make of its answers, byte by byte."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netctl.fib import wire
from netctl.fib.io import put_member
from netctl.model.prefix import parse_prefix
from netctl.model.routing import ROUTE_METRIC


def frame(kind: int, body: bytes, sequence: int = 7, flags: int = 0) -> bytes:
    return pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def only(buffer: bytes) -> wire.Message:
    (message,) = wire.messages(buffer)
    return message


@pytest.mark.parametrize("text", ["0.0.0.0/0", "10.2.0.0/16", "10.2.3.4/32", "::/0", "2001:db8::/32"])
def test_an_encoded_route_decodes_to_its_prefix_and_group(text: str) -> None:
    prefix = parse_prefix(text)
    message = only(wire.put_routes(41, [prefix], 0x6E100001))
    assert (message.kind, message.sequence, message.flags) == (wire.RTM_NEWROUTE, 41, 0x1 | 0x100 | 0x400)
    assert wire.route(message) == (prefix, 0x6E100001)


def test_a_route_to_create_may_meet_no_other() -> None:
    message = only(wire.put_routes(41, [parse_prefix("10.2.0.0/16")], 0x6E100001, create=True))
    assert message.flags == 0x1 | 0x200 | 0x400  # NLM_F_EXCL in place of NLM_F_REPLACE


@given(st.lists(st.integers(0, 200), max_size=20), st.integers(1, 5))
def test_messages_in_small_parts_are_the_same_messages(sizes: list[int], count: int) -> None:
    whole = b"".join(frame(24, bytes(size + -size % 4), sequence=place) for place, size in enumerate(sizes))
    parts = list(wire.in_small_parts(whole, count))
    assert b"".join(parts) == whole
    assert [len(list(wire.messages(part))) for part in parts[:-1]] == [count] * len(parts[:-1])
    assert all(len(list(wire.messages(part))) <= count for part in parts)


def test_many_routes_are_numbered_in_order_across_families() -> None:
    prefixes = [parse_prefix(text) for text in ("10.0.0.0/8", "2001:db8::/32", "10.1.0.0/16")]
    found = list(wire.messages(wire.delete_routes(5, prefixes)))
    assert [(m.kind, m.sequence, wire.route(m)) for m in found] == [
        (wire.RTM_DELROUTE, 5 + place, (prefix, 0)) for place, prefix in enumerate(prefixes)
    ]


def test_a_group_carries_weights_up_to_256() -> None:
    members = ((1, 1), (2, 256))
    found = wire.nexthop(only(wire.put_group(1, 0x6E100001, members)))
    assert (found.id, found.members) == (0x6E100001, members)


@pytest.mark.parametrize("gateway", [b"\x0a\x00\x01\x02", b"\xfe\x80" + bytes(13) + b"\x01"])
def test_a_member_carries_its_gateway_and_link(gateway: bytes) -> None:
    found = wire.nexthop(only(put_member(1, 9, gateway, 3)))
    assert (found.id, found.members, found.gateway, found.index) == (9, None, gateway, 3)


@pytest.mark.parametrize(
    ("protocol", "table", "metric"),
    [(186, 254, ROUTE_METRIC), (110, 100, ROUTE_METRIC), (110, 254, 20)],
    ids=["bgp", "table", "metric"],
)
def test_a_route_of_another_protocol_table_or_metric_is_not_ours(protocol: int, table: int, metric: int) -> None:
    body = pack("=8BI", 2, 16, 0, 0, table, protocol, 0, 1, 0) + pack("=HH4s", 8, 1, b"\x0a\x02\0\0")
    body += pack("=HHI", 8, 6, metric) + pack("=HHI", 8, 30, 6)
    assert wire.route(only(frame(wire.RTM_NEWROUTE, body))) is None


def test_a_refusal_says_which_message_why_and_in_the_kernels_words() -> None:
    text = b"Nexthop id does not exist\0"
    body = pack("=iIHHII", -22, 52, 24, 0x501, 99, 0) + pack("=HH", 4 + len(text), 1) + text + bytes(-len(text) % 4)
    message = only(frame(wire.NLMSG_ERROR, body, flags=wire.NLM_F_ACK_TLVS))
    assert wire.error(message) == (99, 22, "Nexthop id does not exist")


def test_a_dump_is_read_alike_by_the_quick_and_the_careful_reader() -> None:
    def dumped(prefix: bytes, group: int) -> bytes:
        body = pack("=8BI", 2, prefix[0], 0, 0, 254, 110, 0, 1, 0) + pack("=HHI", 8, 15, 254)
        body += pack("=HH4s", 8, 1, prefix[1:]) + pack("=HHI", 8, 6, ROUTE_METRIC) + pack("=HHI", 8, 30, group)
        return frame(wire.RTM_NEWROUTE, body)

    wanted = {parse_prefix(f"10.{n}.0.0/16"): n for n in range(1, 50)}
    buffer = b"".join(dumped(prefix, group) for prefix, group in wanted.items())
    quick: dict[bytes, int] = {}
    done = frame(wire.NLMSG_DONE, bytes(4))
    assert wire.dumped_routes(buffer + done, quick) == len(buffer)
    assert quick == wanted
    assert dict(filter(None, map(wire.route, wire.messages(buffer)))) == wanted
    assert wire.ends_dump(buffer + done, 7)
    assert not wire.ends_dump(buffer, 7)
    assert not wire.ends_dump(buffer + done, 8)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_messages_end_the_reading(data: bytes) -> None:
    for message in wire.messages(data):
        assert 16 <= message.start <= message.end <= len(data)
    for value in wire.attributes(data, 0, len(data)).values():
        assert value in data
