"""What is said about each mistake in a gateway file: where, what, what is allowed, what was meant."""

from __future__ import annotations

import pytest

from netctl.config import check_gateway


def complaints(text: str) -> list[str]:
    return [str(problem) for problem in check_gateway(text, "f")]


def only(text: str) -> str:
    found = complaints(text)
    assert len(found) == 1, found
    return found[0]


def change(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the file"
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("asn: 65100", "asn: 0", "f:4:6: asn: is too small (value 0); allowed: 1 to 4294967295 without 23456"),
        ("asn: 65100", "asn: 23456", "f:4:6: asn: is the placeholder for four-byte numbers"),
        ("asn: 65100", "asn: 4294967296", "f:4:6: asn: is too large (value 4294967296)"),
        ("asn: 65100", "asn: true", "f:4:6: asn: must be a whole number (value true)"),
        ("asn: 65100", 'asn: "65100"', "f:4:6: asn: must be a whole number; take the quotes away (value '65100')"),
        ("router_id: 10.0.1.1", "router_id: 10.0.1.256", "f:5:12: router_id: '10.0.1.256' is no IPv4 address"),
        ("router_id: 10.0.1.1", "router_id: 0.0.0.0", "f:5:12: router_id: is no host's IPv4 address"),
        ("router_id: 10.0.1.1", "router_id: 5", "router_id: must be a text; put it in quotes (value 5)"),
        ("gateway: ga1", "gateway: GA1", "f:2:10: gateway: is not allowed here (value 'GA1'); allowed: 1 to 32 of a-z"),
        ("gateway: ga1", "gateway: ga1-", "f:2:10: gateway: is not allowed here"),
        ("gateway: ga1", f"gateway: {'g' * 33}", "f:2:10: gateway: is too long"),
        ("gateway: ga1", "gateway:", "f:2:1: gateway: must be a text (value null)"),
        ("gateway: ga1\n", "", "f:1:1: gateway: is missing"),
        ("interface: gw-pa\n", "interface: gw-pa-4567890123\n", "f:10:16: peers[0].interface: is not allowed here"),
        ("interface: gw-pa\n", "interface: a/b\n", "f:10:16: peers[0].interface: is not allowed here"),
        (
            "hold_time_s: 9",
            "hold_time_s: 2",
            "f:15:18: peers[0].hold_time_s: a hold time of 1 or 2 seconds is forbidden",
        ),
        (
            "hold_time_s: 9",
            "hold_time: 9",
            "f:15:5: peers[0].hold_time: unknown key (value 9); did you mean 'hold_time_s'?",
        ),
        (
            "interval_ms: 50,",
            "interval_ms: 2,",
            "f:14:24: peers[0].bfd.interval_ms: is too small (value 2); allowed: 3 to",
        ),
        (
            "multiplier: 3}",
            "multiplier: 256}",
            "f:14:40: peers[0].bfd.multiplier: is too large (value 256); allowed: 1 to 255",
        ),
        ("weight: 1", "weight: 257", "f:17:13: peers[0].weight: is too large (value 257); allowed: 1 to 256"),
        (
            "kind: fabric",
            "kind: fabrik",
            "peers[2].kind: is not allowed here (value 'fabrik'); allowed: provider, fabric",
        ),
        ("name: pb", "name: pa", "f:18:12: peers[1].name: a peer has this name in line 8 already (value 'pa')"),
        ("address: 10.0.2.2", "address: 10.0.1.2", "peers[1].address: a peer has this address in line 12 already"),
        ("address: 10.0.2.2", "address: 10.0.2.1", "peers[1].address: is this gateway's own address (local)"),
        ("address: 10.0.2.2", "address: 10.0.1.1", "peers[1].address: is this gateway's own address (line 11)"),
        ("asn: 65002", "asn: 65100", "peers[1].asn: is this gateway's own AS number; a provider has another"),
        (
            "[10.2.0.0/16]",
            "[10.2.0.1/16]",
            "f:22:16: clouds[0].prefixes[0]: '10.2.0.1/16' has host bits set; did you mean",
        ),
        ("[10.2.0.0/16]", "[10.2.0.0/33]", "f:22:16: clouds[0].prefixes[0]: '10.2.0.0/33' is no IPv4 prefix"),
        ("[10.2.0.0/16]", '["fd00::/8"]', "f:22:16: clouds[0].prefixes[0]: IPv6 is not yet supported"),
        (
            "[10.2.0.0/16]",
            "[10.2.0.0/16, 10.2.0.0/16]",
            "f:22:29: clouds[0].prefixes[1]: is a cloud's in line 22 already",
        ),
        ("[10.2.0.0/16]", "[]", "f:22:15: clouds[0].prefixes: has too few entries"),
        ("[10.2.0.0/16]", "10.2.0.0/16", "f:22:15: clouds[0].prefixes: must be a list"),
        ("  - name: b\n", "  - name: a\n", "f:21:11: clouds[0].name: is this gateway's own cloud"),
        ("cloud: a\n", "cloud: world\n", "f:3:8: cloud: has a meaning of its own"),
        ("  - name: b\n", "  - name: world\n", "f:21:11: clouds[0].name: has a meaning of its own"),
        (
            "to: [fabric]",
            "to: [fabrik]",
            "announce[2].to[0]: no peer is called 'fabrik'; allowed: pa, pb, fa, provider, fabric;",
        ),
        ("to: [fabric]", "to: []", "announce[2].to: has too few entries"),
        ("to: [fabric]", "to: [fa, fa]", "announce[2].to[1]: stands in line"),
        ("[check:ingress]", "[check:ingres]", "allowed: check:ingress; did you mean 'check:ingress'?"),
        ("[check:ingress]", "[peer:pz]", "no peer is called 'pz'; allowed: peer:pa, peer:pb, peer:fa"),
        ("[path:any]", "[path:c]", "no cloud is called 'c'; allowed: path:any, path:b"),
        (
            "[path:any]",
            "[weather:fine]",
            "announce[2].when[0]: is not allowed here (value 'weather:fine'); allowed: check:NAME",
        ),
        ("10.1.255.10/32", "10.1.0.0/16", "f:25:13: announce[1].prefix: is announced in line 24 already"),
        ("{http: ", '{tcp: "10.0.0.1:80", http: ', "f:31:3: checks.ingress: has both http and tcp"),
        ('http: "http://10.1.255.10/healthz", ', "", "f:31:3: checks.ingress: has neither http nor tcp"),
        ("http://10", "ftp://10", "checks.ingress.http: is not allowed here"),
        (
            "timeout_ms: 300",
            "timeout_ms: 501",
            "checks.ingress.timeout_ms: is longer than interval_ms (500) (value 501)",
        ),
        ("  ingress: {", "  In Gress: {", "f:31:3: checks.In Gress: is no name"),
        (
            "127.0.0.1:9179",
            "127.0.0.1",
            "f:32:17: metrics_listen: is not allowed here (value '127.0.0.1'); allowed: HOST:PORT",
        ),
        ("127.0.0.1:9179", "127.0.0.1:65536", "f:32:17: metrics_listen: is not allowed here"),
        (
            "runtime_dir: /run",
            "runtime_dir: run",
            "f:6:14: runtime_dir: is not allowed here (value 'run/netctl/ga1'); allowed: an",
        ),
        (
            "/run/netctl/ga1",
            "/" + "x" * 95,
            "f:6:14: runtime_dir: is too long: speaker-pa.sock in it would be no valid socket",
        ),
        (
            "version: 1",
            "version: 2",
            "f:1:10: version: this file is of a newer version than this netctl reads; upgrade netctl",
        ),
        ("version: 1", "version: 0", "f:1:10: version: no such version (value 0); allowed: 1"),
        ("version: 1", "version: true", "f:1:10: version: must be a whole number (value true); allowed: 1"),
        ("version: 1\n", "", "f:1:1: version: is missing; allowed: 1"),
        (
            "cloud: a\n",
            "cloud: a\nzzz: red\n",
            "f:4:1: zzz: unknown key (value 'red'); allowed: version, gateway,",
        ),
        ("cloud: a\n", "cloud: a\ncloud: b\n", "f:4:1: cloud: duplicate key; it stands in line 3 already"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(valid: str, old: str, new: str, said: str) -> None:
    found = complaints(change(valid, old, new))
    assert any(said in line for line in found), found
    others = [
        line for line in found if said not in line and "is called" not in line
    ]  # whoever refers to it has lost it
    assert not others


@pytest.mark.parametrize(
    ("key", "value", "neutral"),
    [
        ("probe_address", "10.1.254.1", "null"),
        ("md5_file", "/etc/key", "null"),
        ("listen", "true", "false"),
        ("mtu", "9000", "null"),
        ("local6", "fe80::1", "null"),
        ("address6", "fe80::2", "null"),
        ("families", "[ipv4, ipv6]", "[ipv4]"),
        ("families", "[ipv6]", "[ipv4]"),
    ],
)
def test_a_peers_key_whose_function_comes_later_takes_its_neutral_value_only(
    valid: str, key: str, value: str, neutral: str
) -> None:
    def place(text: str) -> str:
        return change(valid, "    max_prefixes: 1000000\n", f"    max_prefixes: 1000000\n    {key}: {text}\n")

    for line in complaints(place(value)):
        assert line.startswith(f"f:17:{7 + len(key)}: peers[0].{key}") or key == "families", line
    assert complaints(place(value))
    assert all("is not yet supported" in line for line in complaints(place(value)))
    assert complaints(place(neutral)) == []


def test_the_other_keys_whose_function_comes_later_are_refused_alike(valid: str) -> None:
    assert "peers[0].weight: is not yet supported" in only(change(valid, "    weight: 1\n", "    weight: auto\n"))
    assert "peers[0].bfd.auth: is not yet supported" in only(
        change(valid, "multiplier: 3}", "multiplier: 3, auth: {type: x}}")
    )
    gateways = change(valid, "  - name: b\n", "  - name: b\n    gateways: [{name: gb1}]\n")
    assert "f:22:15: clouds[0].gateways: is not yet supported" in only(gateways)
    bfd = change(valid, "  - name: b\n", "  - name: b\n    bfd: {interval_ms: 300, multiplier: 3}\n")
    assert "f:22:10: clouds[0].bfd: is not yet supported" in only(bfd)
    assert complaints(gateways.replace("[{name: gb1}]", "[]")) == []


def test_zero_is_read_as_a_number_and_not_as_false(valid: str) -> None:
    text = change(valid, "    weight: 1\n", "    weight: 1\n    listen: 0\n")
    assert "peers[0].listen" in only(text)


def test_all_mistakes_are_reported_at_once_sorted_by_place(valid: str) -> None:
    text = valid.replace("asn: 65100", "asn: 0").replace("hold_time_s", "hold_tme_s").replace("path:any", "path:x")
    text = text.replace("name: pb", "name: pa")
    places = [(p.line, p.column) for p in check_gateway(text, "f")]
    assert len(places) == 4
    assert places == sorted(places)


def test_a_key_with_a_typo_is_not_reported_as_missing_too(valid: str) -> None:
    assert "did you mean 'router_id'?" in only(change(valid, "router_id", "routr_id"))


def test_a_cloud_within_another_is_allowed_because_the_longest_match_decides(valid: str) -> None:
    text = change(
        valid, "    prefixes: [10.2.0.0/16]\n", "    prefixes: [10.2.0.0/16]\n  - {name: c, prefixes: [10.2.9.0/24]}\n"
    )
    assert complaints(text) == []


def test_an_announcement_without_to_needs_a_provider(valid: str) -> None:
    text = valid.replace("kind: provider", "kind: fabric").replace("to: [fabric]", "to: [pa]")
    assert any("goes to all providers, and there is none" in line for line in complaints(text))
