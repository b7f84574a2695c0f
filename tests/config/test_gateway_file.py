"""The gateway file: what it becomes, and what happens to one that cannot be read."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from netctl.config import ConfigError, check_gateway, load_gateway, parse_gateway
from netctl.config.gateway import member_ids
from netctl.config.gateway_file import DEFAULT_INTERVAL_MS, DEFAULT_TIMEOUT_MS
from netctl.model.errors import UsageError
from netctl.model.gateway import MEMBER_ID_BASE, BfdSettings, CheckSettings, Condition
from netctl.model.prefix import parse_prefix


def change(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the file"
    return text.replace(old, new)


def test_a_valid_file_becomes_a_gateway_with_every_value(valid: str) -> None:
    gateway = parse_gateway(valid, "f.yaml")
    assert (gateway.name, gateway.cloud, gateway.asn, gateway.router_id) == ("ga1", "a", 65100, "10.0.1.1")
    assert (gateway.runtime_dir, gateway.metrics_listen, gateway.source) == (
        "/run/netctl/ga1",
        "127.0.0.1:9179",
        "f.yaml",
    )
    pa, pb, fa = gateway.peers
    assert (pa.name, pa.kind, pa.interface, pa.local, pa.address, pa.asn) == (
        "pa",
        "provider",
        "gw-pa",
        "10.0.1.1",
        "10.0.1.2",
        65001,
    )
    assert pa.bfd == BfdSettings(50, 3)
    assert pb.bfd is None
    assert (fa.hold_time_s, fa.max_prefixes, fa.weight) == (9, 1_000_000, 1)
    assert gateway.clouds[0].prefixes == (parse_prefix("10.2.0.0/16"),)
    assert gateway.checks == (CheckSettings("ingress", "http://10.1.255.10/healthz", None, 500, 300, 2, 3),)


def test_only_six_keys_are_needed_and_the_rest_has_defaults(valid: str) -> None:
    text = valid.split("clouds:")[0].replace("runtime_dir: /run/netctl/ga1\n", "")
    gateway = parse_gateway(text, "f")
    assert gateway.runtime_dir == "/run/netctl/ga1"
    assert (gateway.clouds, gateway.announce, gateway.checks, gateway.metrics_listen) == ((), (), (), None)


def test_the_checks_defaults_are_those_of_the_vocabulary() -> None:
    defaults = {field.name: field.default for field in fields(CheckSettings)}
    assert (defaults["interval_ms"], defaults["timeout_ms"]) == (DEFAULT_INTERVAL_MS, DEFAULT_TIMEOUT_MS)


def test_a_check_faster_than_the_default_timeout_times_out_with_its_interval(valid: str) -> None:
    gateway = parse_gateway(change(valid, "interval_ms: 500, timeout_ms: 300", "interval_ms: 200"), "f")
    assert gateway.checks[0].timeout_ms == 200


# --- announcements -------------------------------------------------------------------------------------------------


def test_without_to_an_announcement_goes_to_all_providers_while_the_fabric_is_up(valid: str) -> None:
    own = parse_gateway(valid, "f").announce[0]
    assert own.to == ("pa", "pb")
    assert own.when == (Condition("peer", "fa"),)


def test_conditions_that_are_written_replace_the_default_one_and_an_empty_list_is_none(valid: str) -> None:
    assert parse_gateway(valid, "f").announce[1].when == (Condition("check", "ingress"),)
    text = change(valid, "  - prefix: 10.1.0.0/16\n", "  - {prefix: 10.1.0.0/16, when: []}\n")
    assert parse_gateway(text, "f").announce[0].when == ()


def test_what_goes_to_the_fabric_or_lies_in_another_cloud_does_not_wait_for_the_fabric(valid: str) -> None:
    text = change(valid, "    when: [path:any]\n", "  - prefix: 10.2.7.0/24\n")
    announce = parse_gateway(text, "f").announce
    assert (announce[2].to, announce[2].when) == (("fa",), ())
    assert (announce[3].to, announce[3].when) == (("pa", "pb"), ())


def test_without_a_fabric_peer_nothing_waits_for_one(valid: str) -> None:
    text = valid.split("clouds:")[0].split("  - {name: fa")[0] + "announce: [{prefix: 10.1.0.0/16}]\n"
    assert parse_gateway(text, "f").announce[0].when == ()


def test_with_two_fabric_peers_one_of_them_is_enough(valid: str) -> None:
    second = "  - {name: fb, kind: fabric, interface: gw-fb, local: 10.0.4.1, address: 10.0.4.2, asn: 65110}\nclouds:\n"
    gateway = parse_gateway(change(valid, "clouds:\n", second), "f")
    assert gateway.announce[0].when == (Condition("peer", "fabric"),)
    assert gateway.announce[2].to == ("fa", "fb")


def test_targets_are_kinds_or_names_in_the_order_of_the_peers(valid: str) -> None:
    text = change(valid, "    to: [fabric]\n", "    to: [fa, pb]\n")
    assert parse_gateway(text, "f").announce[2].to == ("pb", "fa")


def test_a_peer_may_be_called_fabric_when_it_is_the_only_one_of_that_kind(valid: str) -> None:
    gateway = parse_gateway(change(valid, "name: fa,", "name: fabric,"), "f")
    assert gateway.announce[0].when == (Condition("peer", "fabric"),)
    text = change(valid, "name: pb,", "name: fabric,")
    assert "peers[1].name: is the word for a kind" in str(check_gateway(text, "f")[0])


# --- member ids ----------------------------------------------------------------------------------------------------


def test_a_member_id_depends_on_the_peers_name_and_not_on_its_place() -> None:
    assert member_ids(["pa", "pb", "fa"]) == member_ids(["fa", "pb", "pa"])
    assert member_ids(["pa"])["pa"] == member_ids(["pa", "pb"])["pa"]
    assert all(MEMBER_ID_BASE <= number <= MEMBER_ID_BASE + 0xFFFF for number in member_ids(["pa", "pb"]).values())


def test_names_whose_hashes_collide_get_different_member_ids() -> None:
    names = [f"p{number}" for number in range(2000)]  # 2000 in 65536: about 30 collisions
    ids = member_ids(names)
    assert len(set(ids.values())) == len(names)
    assert ids == member_ids(reversed(names))


def test_hold_time_zero_is_allowed(valid: str) -> None:
    assert parse_gateway(change(valid, "hold_time_s: 9", "hold_time_s: 0"), "f").peers[0].hold_time_s == 0


# --- files ---------------------------------------------------------------------------------------------------------


def test_an_unreadable_file_is_one_clear_line(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    binary = tmp_path / "binary"
    binary.write_bytes(b"version: 1\ngateway: \xff\n")
    huge = tmp_path / "huge"
    huge.write_bytes(b"#" * (1024 * 1024 + 1))
    expected = {
        tmp_path / "none": f"{tmp_path}/none: cannot be read: No such file or directory",
        tmp_path: f"{tmp_path}: is a directory; name the file in it",
        fifo: f"{fifo}: is no regular file",
        binary: f"{binary}:2:10: byte 0xff is not UTF-8; that is no text file, or one in another encoding",
        huge: f"{huge}: is longer than 1024 KiB; that is no configuration file",
    }
    for path, said in expected.items():
        with pytest.raises(ConfigError) as caught:
            load_gateway(path)
        assert caught.value.message == said
        assert caught.value.exit_code == UsageError.exit_code


def test_a_refused_file_carries_every_problem_in_the_error(valid: str, tmp_path: Path) -> None:
    path = tmp_path / "ga1.yaml"
    path.write_text(valid.replace("asn: 65100", "asn: 0").replace("cloud: a", "cloud: A"))
    with pytest.raises(ConfigError) as caught:
        load_gateway(path)
    first, *lines = caught.value.message.splitlines()
    assert first == f"{path}: 2 problems"
    assert [line.split(" ")[0] for line in lines] == [f"{path}:3:8:", f"{path}:4:6:"]
