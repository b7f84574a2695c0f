"""The controller file and the checker file: what they become, and how files of all kinds are told apart."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from netctl.config import (
    ConfigError,
    absent_files,
    check_controller,
    check_file,
    load_checker,
    load_controller,
    parse_checker,
    parse_controller,
)
from netctl.config.controller import default_identity
from netctl.model.controller import (
    CheckersSettings,
    ClusterSettings,
    Controller,
    DnsSettings,
    EtcdSource,
    FileSource,
    GuardSettings,
    ServiceCheck,
    ServiceSettings,
    SourceSettings,
    TlsSettings,
)

SMALLEST = """\
version: 1
sources: [{name: vms, file: {path: vms.yaml}}]
clusters: [{name: a, cloud: a, kubeconfig: a.kubeconfig}]
"""


def parse(text: str) -> Controller:
    return parse_controller(text, "f", folder="/etc/netctl", hostname="host1")


def change(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the file"
    return text.replace(old, new)


def test_a_valid_file_becomes_a_controller_with_every_value_and_absolute_paths(controller_text: str) -> None:
    etcd = EtcdSource(
        ("https://10.1.9.10:2379",),
        "/vm/",
        "/etc/netctl/pki/ca.crt",
        "/etc/netctl/pki/c1.crt",
        "/etc/pki/c1.key",
        "netctl",
        "/etc/netctl/password",
    )
    tls = TlsSettings("/etc/netctl/ca", "/etc/netctl/cert", "/etc/netctl/key")
    assert parse(controller_text) == Controller(
        identity="c1",
        runtime_dir="/run/netctl/c1",
        sources=(
            SourceSettings("vms", etcd),
            SourceSettings("legacy", file=FileSource("/etc/netctl/vms.yaml"), cloud="a"),
        ),
        clusters=(
            ClusterSettings("a", "a", "/etc/netctl/a.kubeconfig", "vm"),
            ClusterSettings("b", "b", "/etc/netctl/b.kubeconfig", "vm", "admin"),
        ),
        management="a",
        dns=DnsSettings("netctl.internal", 1, {"a": ("10.1.0.53",), "b": ("10.2.0.53",)}),
        guards=GuardSettings(0.3, ((90, 100), (300, 300), (3600, 2000), (86400, 20000))),
        lease_s=3.0,
        check=ServiceCheck("tcp", "http", "/", 300, 250, 2, 2),
        services={
            "orders": ServiceSettings("ClusterIP", ServiceCheck("http", None, "/healthz", 200, 200, 2, 2)),
            "batch": ServiceSettings("headless", ServiceCheck("none")),
        },
        checkers=CheckersSettings("10.1.9.10:7946", tls),
        metrics_listen="127.0.0.1:9180",
        source="f",
    )


def test_what_a_file_leaves_out_has_the_vocabularys_defaults() -> None:
    controller = parse(SMALLEST)
    sources = (SourceSettings("vms", file=FileSource("/etc/netctl/vms.yaml")),)
    clusters = (ClusterSettings("a", "a", "/etc/netctl/a.kubeconfig", "vm"),)
    wanted = Controller("host1:controller", "/run/netctl/controller", sources, clusters, "a", source="f")
    assert controller == wanted


def test_a_check_without_its_own_values_has_the_vocabularys_defaults() -> None:
    text = SMALLEST + "services: {orders: {check: {http: /}}}\n"
    assert parse(text).service("orders").check == replace(ServiceCheck(), kind="http")


def test_a_service_without_a_check_of_its_own_has_the_files(controller_text: str) -> None:
    controller = parse(change(controller_text, "  batch: {check: none}", "  batch: {type: headless}"))
    assert controller.service("batch").check == controller.service("unnamed").check == controller.check


def test_the_files_own_check_may_be_none() -> None:
    assert parse(SMALLEST + "check: none\n").check.kind == "none"


def test_removals_that_are_written_replace_all_the_default_ones() -> None:
    assert parse(SMALLEST + "guards: {removals: {2m: 7}}\n").guards == GuardSettings(0.3, ((120, 7),))


@pytest.mark.parametrize(
    ("runtime_dir", "identity"),
    [
        ("/run/netctl/controller", "host1:controller"),
        ("/run/netctl/mgmt-c1/", "host1:mgmt-c1"),
        ("/srv/c1", "host1:/srv/c1"),
        ("/srv/x y", "host1:/srv/x_y"),
    ],
)
def test_the_default_identity_differs_by_host_and_runtime_dir(runtime_dir: str, identity: str) -> None:
    assert default_identity("host1", runtime_dir) == identity
    assert default_identity("host2", runtime_dir) != identity


def test_loading_takes_paths_from_the_files_folder_and_the_identity_from_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.yaml").write_text(SMALLEST)
    monkeypatch.chdir(tmp_path)
    controller = load_controller("c.yaml")
    assert controller.identity == f"{os.uname().nodename}:controller"
    assert controller.clusters[0].kubeconfig == str(tmp_path / "a.kubeconfig")
    assert replace(load_controller(tmp_path / "c.yaml"), source="c.yaml") == controller


def test_files_that_are_not_there_yet_are_no_mistake_and_are_named(tmp_path: Path, checker_text: str) -> None:
    (tmp_path / "c.yaml").write_text(SMALLEST)
    (tmp_path / "vms.yaml").touch()
    assert absent_files(load_controller(tmp_path / "c.yaml")) == [str(tmp_path / "a.kubeconfig")]
    (tmp_path / "k.yaml").write_text(checker_text)
    pki = tmp_path / "pki"
    assert absent_files(load_checker(tmp_path / "k.yaml")) == [f"{pki}/ca.crt", f"{pki}/a1.crt", "/etc/pki/a1.key"]


def test_a_checker_file_becomes_a_checker_with_every_value(checker_text: str) -> None:
    checker = parse_checker(checker_text, "f", folder="/etc/netctl")
    assert (checker.name, checker.cloud, checker.runtime_dir) == ("a1", "a", "/run/netctl/a1")
    assert checker.controllers == ("10.1.9.10:7946", "10.1.9.10:7947")
    assert checker.tls == TlsSettings("/etc/netctl/pki/ca.crt", "/etc/netctl/pki/a1.crt", "/etc/pki/a1.key")
    assert (checker.metrics_listen, checker.source) == ("127.0.0.1:9181", "f")
    text = 'version: 1\nchecker: a1\ncloud: a\ncontrollers: ["127.0.0.1:7946"]\n'
    smallest = parse_checker(text, "f", folder="/")
    assert (smallest.runtime_dir, smallest.tls, smallest.metrics_listen) == ("/run/netctl/checker-a1", None, None)


def test_two_clusters_may_stand_in_one_cloud(controller_text: str) -> None:
    text = change(controller_text, "management: a\n", "  - {name: a2, cloud: a, kubeconfig: a2}\nmanagement: a\n")
    assert [cluster.cloud for cluster in parse(text).clusters] == ["a", "b", "a"]


# --- telling kinds apart -------------------------------------------------------------------------------------------


def test_each_kind_of_file_is_recognised(valid: str, controller_text: str, checker_text: str) -> None:
    for text, kind in ((valid, "gateway"), (controller_text, "controller"), (checker_text, "checker")):
        assert check_file(text, "f") == (kind, [])


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("gatway: ga1\ncloud: a\nasn: 1\npeers: []\n", "gateway"),
        ("clusters: []\nsorces: []\n", "controller"),
        ("version: 2\nsources: []\n", "controller"),
        ("chekcer: a1\ncloud: a\ncontrollers: []\n", "checker"),
        ("checker: a1\nasn: 1\npeers: []\n", "checker"),
        ("version: 1\n", "gateway"),
    ],
)
def test_a_file_with_mistakes_is_taken_for_the_kind_that_it_looks_like_most(text: str, kind: str) -> None:
    found, problems = check_file(text, "f")
    assert found == kind
    assert problems


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f: is empty; allowed: a netctl file starts with 'version: 1'"),
        ("- 1\n", "f:1:1: is no netctl file: KEY: VALUE lines are missing; allowed: 'version: 1' first"),
        ("a: [\n", "f:2:1: is not YAML"),
    ],
)
def test_what_is_no_file_of_any_kind_is_said_so(text: str, said: str) -> None:
    kind, (problem,) = check_file(text, "f")
    assert kind == ""
    assert str(problem).startswith(said)


def test_a_refused_controller_file_carries_every_problem_in_the_error(controller_text: str) -> None:
    text = controller_text.replace("max_shrink: 0.3", "max_shrink: 2").replace("lease_s: 3", "lease_s: 0")
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert len(caught.value.problems) == len(check_controller(text, "f")) == 2


def test_every_field_of_the_vocabulary_can_be_set_by_a_file(controller_text: str) -> None:
    """Whatever the model has, the valid file above sets otherwise than the default, or it has none."""
    controller: Any = parse(controller_text)
    unset = {
        field.name
        for field in fields(Controller)
        if getattr(controller, field.name) == getattr(parse(SMALLEST), field.name)
    }
    assert unset == {"management", "lease_s", "source"}  # written with their default values
