"""One entry of a registry: what is taken, what is skipped and why."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netctl.model.naming import Instance, Skipped
from netctl.names.entries import MAX_VALUE_BYTES, read_entry

CLOUDS = ("a", "b", "berlin")
GOOD: dict[str, Any] = {"address": "10.1.0.5", "ports": {"http": 8080}, "cloud": "a"}


def read(value: object = GOOD, key: str = "orders/vm5", default: str | None = None) -> Instance | Skipped:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read_entry("vms", key, raw, default, CLOUDS)


def reason(value: object = GOOD, key: str = "orders/vm5", default: str | None = None) -> str:
    read_as = read(value, key, default)
    assert isinstance(read_as, Skipped), read_as
    assert read_as.source == "vms"
    assert (read_as.reason + read_as.key).isprintable()
    assert len(read_as.reason) < 400
    return read_as.reason


def taken(value: object = GOOD, key: str = "orders/vm5", default: str | None = None) -> Instance:
    read_as = read(value, key, default)
    assert isinstance(read_as, Instance), read_as
    return read_as


def test_a_full_entry_becomes_an_instance() -> None:
    full = {**GOOD, "ports": {"http": 8080, "admin": 9}, "weight": 3, "healthy": False, "hostname": "vm-5"}
    assert taken(full) == Instance(
        "orders", "vm5", "10.1.0.5", (("admin", 9), ("http", 8080)), "a", 3, False, "vm-5", "vms"
    )


def test_only_address_and_ports_are_required_when_the_source_has_a_cloud() -> None:
    assert taken({"address": "10.1.0.5", "ports": {"http": 80}}, default="b") == Instance(
        "orders", "vm5", "10.1.0.5", (("http", 80),), "b", source="vms"
    )


def test_null_is_the_same_as_left_out_and_unknown_fields_are_ignored() -> None:
    value = {**GOOD, "weight": None, "healthy": None, "hostname": None, "owner": {"team": ["x"]}, "cloud": None}
    assert taken(value, default="a") == taken()


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("169.254.1.1", "link-local"),
        ("224.0.0.5", "multicast"),
        ("239.1.1.1", "multicast"),
        ("0.0.0.0", "0.0.0.0/8"),
        ("0.1.2.3", "0.0.0.0/8"),
        ("255.255.255.255", "broadcast"),
        ("010.1.1.1", "leading zeros"),
        ("10.1.1.1 ", "blanks"),
        ("\t10.1.1.1", "blanks"),
        ("10.1.1.1\n", "blanks"),
        ("10.1.1", "no IP address"),
        ("10.1.1.256", "no IP address"),
        ("10.1.1.1/32", "no IP address"),
        ("10.1.1.1:80", "no IP address"),
        ("\u0661\u0660.1.1.1", "no IP address"),
        ("vm5.example.com", "names are not looked up"),
        ("", "no IP address"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "interface"),
        ("fd00::1%eth0", "interface"),
        ("ff02::1", "multicast"),
        ("ff0e::1", "multicast"),
        ("::ffff:10.1.1.1", "write 10.1.1.1"),
        (167837957, "must be a text"),
        (["10.1.0.5"], "must be a text, not a list"),
        ({"v4": "10.1.0.5"}, "must be a text, not a mapping"),
        (None, "missing"),
        (True, "must be a text, not true"),
        ("10.1.1.1\x00", "no IP address"),
        ("\ud800", "no IP address"),
    ],
)
def test_an_address_that_a_cluster_would_refuse_is_skipped(address: object, why: str) -> None:
    assert why in reason({**GOOD, "address": address})


@pytest.mark.parametrize(
    ("written", "canonical"),
    [("2001:DB8:0::5", "2001:db8::5"), ("fd00:0:0:0:0:0:0:1", "fd00::1"), ("100.64.0.1", "100.64.0.1")],
)
def test_addresses_are_taken_in_their_canonical_form(written: str, canonical: str) -> None:
    assert taken({**GOOD, "address": written}).address == canonical


@pytest.mark.parametrize(
    ("ports", "why"),
    [
        (None, "missing"),
        ({}, "1 to 64 ports, not 0"),
        ({f"p{n}": n for n in range(1, 67)}, "1 to 64 ports, not 66"),
        ([80], "must be an object"),
        (80, "must be an object"),
        ({"http": 0}, "from 1 to 65535, not 0"),
        ({"http": 65536}, "not 65536"),
        ({"http": -1}, "not -1"),
        ({"http": "80"}, "not '80'"),
        ({"http": 80.0}, "not 80.0"),
        ({"http": True}, "not true"),
        ({"http": None}, "not null"),
        ({"http": 10**40}, "whole number"),
        ({"": 80}, "port name ''"),
        ({"HTTP": 80}, "port name 'HTTP'"),
        ({"a-very-long-name": 80}, "1 to 15"),
        ({"80": 80}, "at least one letter"),
        ({"-http": 80}, "port name"),
        ({"http-": 80}, "port name"),
        ({"ht--tp": 80}, "port name"),
        ({"http_x": 80}, "port name"),
        ({"http\n": 80}, "port name"),
    ],
)
def test_ports_that_a_cluster_would_refuse_are_skipped(ports: object, why: str) -> None:
    assert why in reason({**GOOD, "ports": ports})


@pytest.mark.parametrize("name", ["http", "h", "8080-tcp", "grpc-web-2", "fifteen-letters"])
def test_port_names_by_the_rules_of_iana_are_taken(name: str) -> None:
    assert taken({**GOOD, "ports": {name: 65535}}).ports == ((name, 65535),)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "1 parts; write SERVICE/INSTANCE"),
        ("orders", "1 parts"),
        ("orders/vm5/x", "3 parts"),
        ("/vm5", "service name is empty"),
        ("orders/", "instance name is empty"),
        ("Orders/vm5", "write orders"),
        ("my_orders/vm5", "write my-orders"),
        ("1orders/vm5", "write s-1orders"),
        ("orders./vm5", "write orders"),
        ("-orders/vm5", "write orders"),
        ("or ders/vm5", "write or-ders"),
        (f"{'o' * 64}/vm5", f"write {'o' * 63}"),
        ("orders/VM_5", "write vm-5"),
        ("orders/vm5.example.com", "write vm5-example-com"),
        ("orders\n/vm5", "no DNS label"),
        ("\udcff/vm5", "no DNS label"),
        ("b\u00fccher/vm5", "write b-cher"),
        ("berlin/vm5", "must not be called like a cloud"),
    ],
)
def test_a_key_whose_names_are_no_dns_labels_is_skipped_with_what_to_write(key: str, why: str) -> None:
    assert why in reason(key=key)


def test_an_instance_may_be_called_like_a_cloud_or_begin_with_a_digit() -> None:
    assert taken(key="orders/a").name == "a"
    assert taken(key="orders/5f2c").name == "5f2c"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"cloud": "c"}, "cloud 'c' is not known; known: a, b, berlin"),
        ({"cloud": "berln"}, "did you mean berlin?"),
        ({"cloud": 1}, "cloud 1 is not known"),
        ({"cloud": ["a"]}, "cloud a list is not known"),
        ({"cloud": None}, "the source has no default"),
        ({"cloud": ""}, "cloud '' is not known"),
        ({"weight": -1}, "weight must be"),
        ({"weight": 65536}, "from 0 to 65535"),
        ({"weight": 1.5}, "weight must be"),
        ({"weight": False}, "not false"),
        ({"weight": "1"}, "not '1'"),
        ({"healthy": "false"}, "healthy must be true or false"),
        ({"healthy": 0}, "healthy must be"),
        ({"hostname": "VM5"}, "write vm5"),
        ({"hostname": "vm5.example.com"}, "hostname 'vm5.example.com' is no DNS label"),
        ({"hostname": 5}, "hostname must be a text"),
    ],
)
def test_other_fields_of_wrong_type_or_value_are_skipped(fields: dict[str, Any], why: str) -> None:
    assert why in reason({**GOOD, **fields})


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b"null", "must be a JSON object"),
        (b"[]", "must be a JSON object"),
        (b'"10.1.1.1"', "must be a JSON object"),
        (b"\xff\xfe", "not UTF-8 (byte 0xff at 0)"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"weight": NaN}', "NaN is no JSON number"),
        (b'{"weight": -Infinity}', "-Infinity is no JSON number"),
        (b'{"weight": 1e999, "address": "10.1.1.1", "ports": {"x": 1}, "cloud": "a"}', "weight must be"),
        (b'{"weight": ' + b"9" * 5000 + b"}", "a number that is too long"),
        (b'{"address": "10.1.1.1", "address": "10.1.1.2"}', "'address' stands there twice"),
        (b'{"ports": {"x": 1, "x": 2}}', "'x' stands there twice"),
        (b'{"a\\ud800": 1, "a\\ud800": 2}', "stands there twice"),
        (b"[" * 60_000, "nested too deeply"),
        (b'{"a":' * 12_000, "nested too deeply"),
        (b'{"address": "' + b"x" * 50_000 + b'"}', "no IP address"),
        (b'{"x": "\x00"}', "not JSON"),
        (json.dumps({**GOOD, "pad": "x" * MAX_VALUE_BYTES}).encode(), "longer than 64 KiB"),
        (b"x" * 1_048_576, "longer than 64 KiB"),
    ],
    ids=range(20),
)
def test_a_value_that_is_no_proper_json_object_is_skipped(value: bytes, why: str) -> None:
    assert why in reason(value)


def test_the_key_of_a_skipped_entry_is_shown_short_and_printable() -> None:
    skipped = read(key="x\x1b[31m" + "y" * 100_000)
    assert isinstance(skipped, Skipped)
    assert len(skipped.key) < 60
    assert "\x1b" not in skipped.key


_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
_FIELD = st.sampled_from(["address", "ports", "cloud", "weight", "healthy", "hostname"])


@given(st.text(st.characters(codec=None), max_size=80), st.binary(max_size=200))
def test_no_bytes_and_no_key_make_it_raise(key: str, value: bytes) -> None:
    skipped = read(value, key)
    assert isinstance(skipped, Skipped)
    json.dumps([skipped.key, skipped.reason], ensure_ascii=False).encode()


@given(st.dictionaries(_FIELD, _ANY_JSON))
def test_whatever_fields_hold_the_result_is_sound_or_skipped(fields: dict[str, Any]) -> None:
    one = read({**GOOD, **fields})
    if isinstance(one, Skipped):
        assert one.reason.encode()
        return
    address = ip_address(one.address)
    assert one.address == str(address)
    assert not any((address.is_loopback, address.is_link_local, address.is_multicast, address.is_unspecified))
    assert one.ports
    assert all(1 <= number <= 65535 and len(name) <= 15 for name, number in one.ports)
    assert one.cloud in CLOUDS
    assert 0 <= one.weight <= 65535
