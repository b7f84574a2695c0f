# long because: one table of commands, each with its socket, its table and its JSON
"""``netctl status``, ``holds`` and ``explain`` of controllers and checkers: whom they ask and what they show."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from netctl.cli import sources
from netctl.cli.main import main
from netctl.cli.sources import Source
from netctl.ipc.messages import Reply, Request
from tests.cli.fake_program import answering

Capture = pytest.CaptureFixture[str]

HOLD = {
    "id": "orders-1a2b",
    "service": "orders",
    "cluster": "",
    "kind": "shrink",
    "instances": ["a-vm1", "a-vm2"],
    "reason": "2 of 4 instances would go, at most 1 may (max_shrink 30 %)",
    "since_wall": 1.0,
}


def controller_status(name: str = "c1", **more: Any) -> dict[str, Any]:
    since = time.time() - 90
    budget = [{"window_s": 60, "used": 3, "limit": 100}, {"window_s": 86400, "used": 0, "limit": 20000}]
    cluster = {"state": "leading", "leader": name, "epoch": 2, "services": 3, "slices": 3, "pending": 0, "reason": ""}
    cluster |= {"writes_total": 17, "since_wall": since, "budget": budget}
    source = {"name": "vms", "kind": "etcd", "state": "synced", "entries": 8, "revision": 41, "skipped": 0}
    return {
        "controller": name,
        "pid": 7,
        "since_wall": since,
        "config": "/etc/netctl/controller.yaml",
        "zone": "netctl.internal",
        "services": 3,
        "instances": 8,
        "steady": True,
        "panic": [],
        "sources": [{**source, "reason": "", "since_wall": since}],
        "skipped": [],
        "skipped_total": 0,
        "clusters": [{**cluster, "name": cloud, "cloud": cloud} for cloud in ("a", "b")],
        "checkers": [
            {"cloud": "a", "name": "a1", "connected": True, "targets": 5, "failing": 0, "since_wall": since},
            {"cloud": "b", "name": "b1", "connected": False, "targets": 5, "failing": 0, "since_wall": since},
        ],
        "failing": [],
        "holds": [],
        "foreign": [],
        "refused": [],
        **more,
    }


def checker_status(**more: Any) -> dict[str, Any]:
    controllers = [
        {"address": "10.1.9.10:7946", "connected": True, "reason": ""},
        {"address": "10.1.9.10:7947", "connected": False, "reason": "connection refused"},
    ]
    failing = [{"service": "orders", "instance": "a-vm1", "target": "10.1.1.10:80", "detail": "refused"}]
    body = {"checker": "a1", "cloud": "a", "pid": 8, "since_wall": 1.0, "controllers": controllers, "targets": 5}
    return {**body, "failing": failing, "runs_total": 100, "late_total": 0, **more}


@contextmanager
def controllers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bodies: dict[str, dict[str, dict[str, Any] | Reply]]
) -> Iterator[dict[str, list[Request]]]:
    """Two or so controllers of the lab ``one``: name → verb → body. Yields what each was asked."""
    with ExitStack() as stack:
        asked, found = {}, []
        for name, verbs in bodies.items():
            (tmp_path / name).mkdir()
            asked[name] = stack.enter_context(answering(tmp_path / name, "controller", verbs))
            found.append(Source(f"one/{name}", tmp_path / name / "controller.sock", "controller"))
        monkeypatch.setattr(sources, "sources", [lambda: iter(found)])
        yield asked


def table(text: str, first_heading: str) -> list[list[str]]:
    """The rows of the table whose first column is headed so, split where two spaces are."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    (lines,) = [
        lines
        for lines in blocks
        if re.split(r" {2,}", lines[0])[: len(first_heading.split("|"))] == first_heading.split("|")
    ]
    return [re.split(r" {2,}", line) for line in lines[1:]]


# --- status --------------------------------------------------------------------------------------------------------


def test_status_shows_a_controllers_clusters_sources_and_checkers(tmp_path: Path, capsys: Capture) -> None:
    with answering(tmp_path, "controller", {"status": controller_status()}):
        assert main(["status", "--runtime-dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert table(said, "CONTROLLER|STATE") == [["c1", "ok", "a,b", "3", "8", "0", "0", "1/2", "0", "-"]]
    assert table(said, "CONTROLLER|CLUSTER")[1] == ["c1", "b", "b", "leading", "c1", "3", "3", "0", "3/100 in 1m", "-"]
    assert table(said, "CONTROLLER|SOURCE") == [["c1", "vms", "etcd", "synced", "8", "0", "2 min ago", "-"]]
    assert table(said, "CONTROLLER|CHECKER")[1] == ["c1", "b1", "b", "no", "5", "0", "2 min ago"]


def test_a_hold_stands_right_below_the_overview_with_its_reason_and_what_to_do(tmp_path: Path, capsys: Capture) -> None:
    held = controller_status(steady=False, holds=[{**HOLD, "since_wall": time.time() - 30}])
    with answering(tmp_path, "controller", {"status": held}):
        assert main(["status", "--runtime-dir", str(tmp_path)]) == 0
    overview, holds, *_ = capsys.readouterr().out.split("\n\n")
    assert "unsteady" in overview
    assert holds.splitlines()[0].startswith("HOLD")
    assert re.search(r"orders-1a2b +orders +- +shrink +a-vm1,a-vm2 +30\.\d s ago\n  2 of 4 instances would go", holds)
    assert "netctl holds approve ID" in holds


def test_two_controllers_say_the_same_once_and_json_keeps_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    skipped = [{"source": "vms", "key": "orders/vm5", "reason": "no address"}]
    more: dict[str, Any] = {"holds": [HOLD], "skipped": skipped, "skipped_total": 103, "panic": ["ledger"]}
    more["failing"] = [{"service": "orders", "instance": "a-vm1", "cloud": "a", "detail": "connection refused"}]
    more["foreign"] = [{"cluster": "a", "resource": "services", "name": "web", "reason": "made by helm"}]
    more["refused"] = [{"cluster": "a", "resource": "endpointslices", "name": "x", "reason": "403 forbidden"}]
    bodies: dict[str, Any] = {name: {"status": controller_status(name, **more)} for name in ("c1", "c2")}
    with controllers(tmp_path, monkeypatch, bodies):
        assert main(["status"]) == 0
        said = capsys.readouterr().out
        assert main(["status", "-o", "json"]) == 0
    assert [row[0] for row in table(said, "CONTROLLER|STATE")] == ["one/c1", "one/c2"]
    assert said.count("orders-1a2b") == 1
    assert table(said, "NOTHING IS HEALTHY ANYWHERE") == [["ledger", "one/c1,one/c2"]]
    assert table(said, "SERVICE|INSTANCE") == [["orders", "a-vm1", "a", "connection refused"]]
    assert table(said, "CLUSTER|RESOURCE|NAME|NOT NETCTL'S, LEFT ALONE") == [["a", "services", "web", "made by helm"]]
    assert table(said, "CLUSTER|RESOURCE|NAME|REFUSED BY THE CLUSTER") == [
        ["a", "endpointslices", "x", "403 forbidden"]
    ]
    assert table(said, "SOURCE|KEY") == [["vms", "orders/vm5", "no address"], ["and 102 more entries are skipped"]]
    data = json.loads(capsys.readouterr().out)
    assert data["gateways"] == data["checkers"] == []
    assert [(c["label"], c["answers"], c["holds"]) for c in data["controllers"]] == [
        ("one/c1", True, [HOLD]),
        ("one/c2", True, [HOLD]),
    ]


def test_a_controller_that_was_killed_is_shown_as_gone_with_code_1(tmp_path: Path, capsys: Capture) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "controller.sock"))
    with answering(tmp_path, "checker", {"status": checker_status()}):
        assert main(["status", "--runtime-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert f"no controller answers at {tmp_path}/controller.sock: Connection refused" in said
    away = "10.1.9.10:7947: connection refused"
    assert table(said, "CHECKER|CLOUD") == [["a1", "a", "unsteady", "1/2", "5", "1", away]]


def test_a_controllers_folder_is_known_as_that_when_it_has_left(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "controller.lock").touch()
    assert main(["status", "--runtime-dir", str(tmp_path), "-o", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["gateways"] == []
    assert [(c["controller"], c["answers"]) for c in data["controllers"]] == [(tmp_path.name, False)]


def test_programs_on_this_host_are_found_by_their_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sources, "RUN", tmp_path)
    monkeypatch.setattr(sources, "sources", [sources.host_sources])
    assert main(["status"]) == 1
    assert "neither an agent nor a controller nor a checker found under" in capsys.readouterr().err
    for name in ("controller", "checker"):
        (tmp_path / name).mkdir()
    bodies = {"status": controller_status()}, {"status": checker_status()}
    with (
        answering(tmp_path / "controller", "controller", bodies[0]),
        answering(tmp_path / "checker", "checker", bodies[1]),
    ):
        assert main(["status", "-o", "json"]) == 0
        data = json.loads(capsys.readouterr().out)
    assert [c["controller"] for c in data["controllers"]] == ["c1"]
    assert [c["checker"] for c in data["checkers"]] == ["a1"]


def test_a_gateway_by_name_hides_controllers_and_a_lab_by_name_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    none = tmp_path / "none"
    found = [
        Source("one/ga1", none),
        Source("one/c1", none / "c", "controller"),
        Source("two/c1", none / "d", "controller"),
    ]
    monkeypatch.setattr(sources, "sources", [lambda: iter(found)])
    for options, labels in (
        (["--gateway", "ga1"], [["one/ga1"], []]),
        (["--lab", "two"], [[], ["two/c1"]]),
    ):
        assert main(["status", "-o", "json", *options]) == 1
        data = json.loads(capsys.readouterr().out)
        assert [[row["label"] for row in data[key]] for key in ("gateways", "controllers")] == labels


# --- holds ---------------------------------------------------------------------------------------------------------


def test_holds_are_listed_once_however_many_controllers_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    other = {**HOLD, "id": "ledger@b-9f00", "cluster": "b", "kind": "budget"}
    bodies: dict[str, Any] = {"c1": {"holds": {"holds": [HOLD, other]}}, "c2": {"holds": {"holds": [HOLD]}}}
    with controllers(tmp_path, monkeypatch, bodies):
        assert main(["holds", "list"]) == 0
        said = capsys.readouterr().out
        assert main(["holds", "list", "-o", "json"]) == 0
    assert [row[:4] for row in table(said, "HOLD")[0:3:2]] == [
        ["orders-1a2b", "orders", "-", "shrink"],
        ["ledger@b-9f00", "orders", "b", "budget"],
    ]
    holds = json.loads(capsys.readouterr().out)["holds"]
    assert [(hold["id"], hold["controllers"]) for hold in holds] == [
        ("orders-1a2b", ["one/c1", "one/c2"]),
        ("ledger@b-9f00", ["one/c1"]),
    ]


def test_no_holds_is_said_on_stderr_and_is_no_failure(tmp_path: Path, capsys: Capture) -> None:
    with answering(tmp_path, "controller", {"holds": {"holds": []}}):
        assert main(["holds", "list", "--runtime-dir", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "no holds\n")


def test_a_controller_that_does_not_answer_may_have_holds_so_the_list_ends_with_code_1(
    tmp_path: Path, capsys: Capture
) -> None:
    folders = ["--runtime-dir", str(tmp_path), "--runtime-dir", str(tmp_path / "none")]
    with answering(tmp_path, "controller", {"holds": {"holds": [HOLD]}}):
        assert main(["holds", "list", *folders]) == 1
    captured = capsys.readouterr()
    assert "orders-1a2b" in captured.out
    assert "no controller answers at" in captured.err
    assert main(["holds", "list", *folders]) == 3


def test_an_approval_goes_to_every_controller_and_those_that_took_it_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    bodies: dict[str, Any] = {"c1": {"approve": Reply(error="leads no cluster")}, "c2": {"approve": {"approved": HOLD}}}
    with controllers(tmp_path, monkeypatch, bodies) as asked:
        assert main(["holds", "approve", "orders-1a2b"]) == 0
        said = capsys.readouterr()
        assert main(["holds", "approve", "orders-1a2b", "-o", "json"]) == 0
    assert asked["c1"] == asked["c2"] == [Request("approve", "orders-1a2b")] * 2
    assert said.out == "one/c2 lets orders-1a2b go: a-vm1, a-vm2 of orders\n"
    assert said.err == "one/c1: leads no cluster\n"
    data = json.loads(capsys.readouterr().out)
    assert [row["by"] for row in data["approved"]] == ["one/c2"]
    assert data["refused"] == {"one/c1": "leads no cluster"}


def test_an_unknown_hold_is_a_usage_error_that_names_the_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    verbs: dict[str, Any] = {"approve": Reply(error="no such hold"), "holds": {"holds": [HOLD]}}
    with controllers(tmp_path, monkeypatch, {"c1": verbs}):
        assert main(["holds", "approve", "orders-ffff"]) == 2
        assert capsys.readouterr().err == ("netctl: no hold is called 'orders-ffff'\n  hint: holds: orders-1a2b\n")
        assert main(["holds", "approve", "orders-1a2b"]) == 1  # it is there, and nobody takes the approval
        assert "no controller lets orders-1a2b go: one/c1: no such hold" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["holds", "list"], ["holds", "approve", "x"], ["explain", "orders"]])
def test_without_a_controller_there_is_a_hint_how_to_start_one(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sources, "sources", [])
    assert main(words) == 3
    assert "no controller found here\n  hint: netctl controller run --config FILE" in capsys.readouterr().err


# --- explain -------------------------------------------------------------------------------------------------------


def explanation(**more: Any) -> dict[str, Any]:
    instance = {"name": "a-vm1", "cloud": "a", "address": "10.1.1.10", "listed": True, "held": False, "healthy": True}
    cluster = {"name": "a", "why": "own instances are ready", "answers": ["10.1.1.10"], "pending": False, "error": ""}
    return {
        "service": "orders",
        "sources": [{"name": "vms", "state": "synced", "instances": ["a-vm1"]}],
        "instances": [
            {**instance, "verdict": "passing", "detail": ""},
            {**instance, "name": "a-vm2", "held": True, "listed": False, "verdict": "unknown", "detail": ""},
            {**instance, "name": "b-vm1", "cloud": "b", "healthy": False, "verdict": "failing", "detail": "refused"},
        ],
        "skipped": [],
        "hold": "",
        "clusters": [cluster],
        **more,
    }


@pytest.mark.parametrize("asked", ["orders", "orders.netctl.internal", "orders.vm.svc.cluster.local."])
def test_a_service_is_explained_once_where_the_controllers_agree_in_the_leaders_words(
    asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (cluster,) = explanation()["clusters"]
    standby = explanation(clusters=[{**cluster, "why": f"{cluster['why']} (written by c2)"}])
    with controllers(tmp_path, monkeypatch, {"c1": {"explain": standby}, "c2": {"explain": explanation()}}) as requests:
        assert main(["explain", asked]) == 0
    assert requests["c1"] == [Request("explain", "orders")]
    said = capsys.readouterr().out
    assert said.startswith("one/c1, one/c2: orders, by vms\n")
    assert re.findall(r"^(\S+) +\S+ +\S+ +(listed|held|unhealthy) +(\w+)", said, re.MULTILINE) == [
        ("a-vm1", "listed", "passing"),
        ("a-vm2", "held", "unknown"),
        ("b-vm1", "unhealthy", "failing"),
    ]
    assert table(said, "CLUSTER") == [["a", "10.1.1.10", "yes", "own instances are ready", "-"]]


def test_controllers_that_see_different_instances_are_shown_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    lost = [{"name": "vms", "state": "lost", "instances": []}]
    other = explanation(instances=[], sources=lost, clusters=[])
    with controllers(tmp_path, monkeypatch, {"c1": {"explain": explanation()}, "c2": {"explain": other}}):
        assert main(["explain", "orders"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("one/c1: orders, by vms\n")
    assert said.endswith("one/c2: orders has no instance that can be used\n")


def test_what_is_skipped_and_held_of_a_service_is_shown_with_it(tmp_path: Path, capsys: Capture) -> None:
    skipped = [{"source": "vms", "key": "orders/vm9", "reason": "the address 127.0.0.1 is a loopback address"}]
    lost = [{"name": "vms", "state": "lost", "instances": ["a-vm1"]}]
    body = explanation(skipped=skipped, hold="1 of 2 would go", sources=lost)
    with answering(tmp_path, "controller", {"explain": body}):
        assert main(["explain", "orders", "--runtime-dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("c1: orders, by vms (lost)\n".replace("c1", tmp_path.name))
    assert "\nheld: 1 of 2 would go\n" in said
    assert table(said, "SOURCE|KEY") == [["vms", "orders/vm9", skipped[0]["reason"]]]


def test_a_service_that_nobody_knows_is_refused_in_the_controllers_words(tmp_path: Path, capsys: Capture) -> None:
    unknown = Reply({"exit_code": 2}, error="there is no service 'ordesr'", hint="services: orders")
    folders = ["--runtime-dir", str(tmp_path / "none"), "--runtime-dir", str(tmp_path)]
    with answering(tmp_path, "controller", {"explain": unknown}):
        assert main(["explain", "ordesr", *folders]) == 2
    assert capsys.readouterr().err == "netctl: there is no service 'ordesr'\n  hint: services: orders\n"


def test_a_service_of_which_all_entries_are_skipped_ends_with_code_1(tmp_path: Path, capsys: Capture) -> None:
    with answering(tmp_path, "controller", {"explain": explanation(instances=[], clusters=[])}):
        assert main(["explain", "orders", "--runtime-dir", str(tmp_path)]) == 1
    assert "orders has no instance that can be used" in capsys.readouterr().out


def test_an_address_is_still_explained_by_gateways_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    with controllers(tmp_path, monkeypatch, {"c1": {}}) as asked:
        assert main(["explain", "10.1.0.5"]) == 3
    assert asked["c1"] == []
    assert "no agent found here" in capsys.readouterr().err
