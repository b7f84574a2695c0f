"""ExaBGP's lines → events; the lines are as ExaBGP 5.0.15 writes them."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netctl.bgp import events as exa
from netctl.bgp.exabgp_json import Reader
from netctl.model.errors import PeerError
from netctl.model.prefix import format_prefix


def line(kind: str, **neighbor: Any) -> bytes:
    head = {"exabgp": "5.0.0", "time": 1.5, "host": "vm", "pid": 1, "ppid": 1, "counter": 1, "type": kind}
    common = {"address": {"local": "10.0.1.1", "peer": "10.0.1.2"}, "asn": {"local": 65100, "peer": 65001}}
    return json.dumps({**head, "neighbor": {**common, **neighbor}}).encode()


def update(attributes: dict[str, Any] | None = None, **parts: Any) -> bytes:
    body = {"attribute": attributes, **parts} if attributes is not None else parts
    return line("update", direction="receive", message={"update": body})


IPV4 = {"afi": "ipv4", "safi": "unicast"}
ASN4 = {"65": {"asn4": 4200000000}}
PATH = {"0": {"element": "as-sequence", "value": [65001, 65200]}}


def read(text: bytes) -> exa.Event | None:
    return Reader().read(text)


def test_an_update_gives_its_prefixes_and_attributes() -> None:
    attributes = {
        "origin": "incomplete",
        "as-path": PATH,
        "med": 7,
        "community": [[65001, 99]],
        "large-community": [[65001, 1, 2]],
        "extended-community": [{"value": 564049465049088, "string": "target:1:0"}, {"value": 255, "string": ""}],
    }
    event = read(update(attributes, announce={"ipv4 unicast": {"10.0.1.2": ["10.2.0.0/16", "0.0.0.0/0"]}}))
    assert isinstance(event, exa.Updated)
    ((next_hop, got, prefixes),) = event.announced
    assert next_hop == bytes((10, 0, 1, 2))
    assert [format_prefix(prefix) for prefix in prefixes] == ["10.2.0.0/16", "0.0.0.0/0"]
    assert (got.as_path, got.med, got.origin) == ((65001, 65200), 7, "incomplete")
    assert got.communities == ("65001:99", "65001:1:2", "target:1:0", "0x00000000000000ff")


def test_an_as_set_counts_as_one_and_confederations_as_none_but_all_are_seen() -> None:
    path = {
        "0": {"element": "as-sequence", "value": [65001]},
        "1": {"element": "as-set", "value": [65300, 65299]},
        "2": {"element": "as-confed-sequence", "value": [64512]},
    }
    event = read(update({"as-path": path}, announce={"ipv4 unicast": {"10.0.1.2": ["10.2.0.0/16"]}}))
    assert isinstance(event, exa.Updated)
    assert event.announced[0][1].as_path == (65001, 65299)
    assert event.announced[0][1].seen == {65001, 65299, 65300, 64512}


def test_equal_attributes_are_decoded_once() -> None:
    reader = Reader()
    first, second = (
        reader.read(update({"as-path": PATH}, announce={"ipv4 unicast": {"10.0.1.2": [text]}}))
        for text in ("10.2.0.0/16", "10.3.0.0/16")
    )
    assert isinstance(first, exa.Updated)
    assert isinstance(second, exa.Updated)
    assert first.announced[0][1] is second.announced[0][1]


def test_withdrawals_and_other_families() -> None:
    event = read(update(withdraw={"ipv4 unicast": ["10.2.0.0/16"], "ipv6 unicast": ["2001:db8::/32"]}))
    assert event == exa.Updated([bytes((16, 10, 2, 0, 0))], [])


def test_bits_beyond_the_length_are_cleared() -> None:
    event = read(update(withdraw={"ipv4 unicast": ["10.2.3.4/16"]}))
    assert event == exa.Updated([bytes((16, 10, 2, 0, 0))], [])


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (line("state", state="connected"), exa.Connected()),
        (line("state", state="up"), exa.Up()),
        (line("state", state="down", reason="closing connection"), exa.Down("closing connection")),
        (line("update", message={"eor": IPV4}), exa.EndOfRib()),
        (line("update", message={"eor": {"afi": "ipv6", "safi": "unicast"}}), None),
        (line("refresh", **{"route-refresh": {**IPV4, "subtype": "begin"}}), exa.Refresh("begin")),
        (line("refresh", **{"route-refresh": {**IPV4, "subtype": "end"}}), exa.Refresh("end")),
        (
            line("notification", direction="receive", notification={"code": 6, "subcode": 2, "data": "0x0461"}),
            exa.Notified("receive", 6, 2, b"\x04a"),
        ),
        (
            line("open", open={"asn": 23456, "hold_time": 9, "router_id": "1.2.3.4", "capabilities": ASN4}),
            exa.Opened(4200000000, "1.2.3.4", 9),
        ),
        (line("keepalive", direction="receive"), None),
        (b'{ "exabgp": "5.0.0", "type": "notification", "notification": "shutdown" }', exa.Stopping()),
        (b"done", None),
        (b"error", None),
        (b"shutdown in progress", None),
        (b"10.0.1.2 ipv4 unicast 10.1.0.0/16 next-hop 10.0.1.1", exa.Told(bytes((16, 10, 1, 0, 0)))),
        (b'[{"fsm": "ESTABLISHED", "peer": {"id": "10.0.1.2"}}]', exa.Neighbours(True, "10.0.1.2")),
        (b'[{"fsm": "CONNECT", "peer": {"id": null}}]', exa.Neighbours(False, "")),
        (b"[]", exa.Neighbours(False, "")),
    ],
)
def test_other_lines(text: bytes, event: exa.Event | None) -> None:
    assert read(text) == event


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"{}",
        b"hello",
        b"[1]",
        b"[" * 10_000 + b"]" * 10_000,
        line("open", open={"asn": 1, "hold_time": 3, "router_id": "x", "capabilities": {"1": "DEEP"}}).replace(
            b'"DEEP"', b"[" * 10_000 + b"]" * 10_000
        ),
        b'{"type": 3}',
        line("state", state="sideways"),
        update(withdraw={"ipv4 unicast": ["10.2.0.0/33"]}),
        update(withdraw={"ipv4 unicast": ["10.2.0.0/-1"]}),
        update(withdraw={"ipv4 unicast": ["10.2.0/16"]}),
        update(withdraw={"ipv4 unicast": ["10.256.0.0/16"]}),
        update(withdraw={"ipv4 unicast": ["10.2.0.0"]}),
        update({"as-path": 3}, announce={"ipv4 unicast": {"10.0.1.2": ["10.2.0.0/16"]}}),
        update({}, announce={"ipv4 unicast": {"nowhere": ["10.2.0.0/16"]}}),
        b"10.0.1.2 ipv4 unicast nothing",
        line("notification", notification={"code": 6, "subcode": 2, "data": "0xzz"}),
    ],
)
def test_garbage_raises_a_peer_error_with_a_stable_reason(text: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        read(text)
    assert caught.value.reason == "exabgp_line_undecodable"


NAMES = st.sampled_from(["type", "neighbor", "message", "update", "withdraw", "ipv4 unicast", "state", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
)


@given(st.binary() | st.text().map(str.encode) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_no_line_raises_anything_else(text: bytes) -> None:
    with suppress(PeerError):
        read(text)
