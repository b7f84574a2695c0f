"""``netctl status`` and ``explain``: whom they ask, and what they say of a gateway without an agent."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netctl.agent.children import encode_gateway
from netctl.agent.views import status
from netctl.cli import sources
from netctl.cli.main import main
from netctl.cli.sources import Source
from tests.agent.node import GATEWAY, steady_node
from tests.cli.fake_program import answering

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A gateway's runtime_dir in which an agent has run."""
    folder = tmp_path / "ga1"
    folder.mkdir()
    gateway = replace(GATEWAY, runtime_dir=str(folder), source="/etc/netctl/my gw.yaml")
    (folder / "gateway.json").write_bytes(encode_gateway(gateway))
    return folder


def a_status() -> dict[str, Any]:
    node = steady_node()
    node.bfd("pa", "down", downs=1)
    body = json.loads(json.dumps(status(node.agent, {}, node.now_ns)))
    body["peers"][0] |= {
        "bfd_since": time.time() - 300,
        "bfd_diagnostic": "control detection time expired",
        "bgp_reason": "hold timer expired",
    }
    return dict(body)


def test_the_reason_says_why_bfd_is_down_and_since_when(runtime: Path, capsys: Capture) -> None:
    with answering(runtime, "agent", {"status": a_status()}):
        assert main(["status", "--runtime-dir", str(runtime)]) == 0
    said = capsys.readouterr().out
    assert "  BFD: control detection time expired, 5 min ago; BGP: hold timer expired\n" in said


def test_without_an_agent_status_names_what_still_runs_and_how_to_start_it(runtime: Path, capsys: Capture) -> None:
    with socket.socket(socket.AF_UNIX) as liveness:
        liveness.bind(str(runtime / "liveness.sock"))
        liveness.listen()
        assert main(["status", "--runtime-dir", str(runtime), "-o", "json"]) == 1
        (gateway,) = json.loads(capsys.readouterr().out)["gateways"]
        assert list(gateway["still_running"]) == ["liveness"]
        assert gateway["error"] == f"no agent answers at {runtime}/agent.sock: No such file or directory"
        assert main(["status", "--runtime-dir", str(runtime)]) == 1
    said = capsys.readouterr().out
    assert "liveness (pid " in said
    assert "netctl agent run --config '/etc/netctl/my gw.yaml' --standalone" in said


def test_a_host_gateway_is_found_while_any_of_its_programs_runs(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "RUN", runtime.parent)
    assert list(sources.host_sources()) == []
    with socket.socket(socket.AF_UNIX) as speaker:
        speaker.bind(str(runtime / "speaker-pa.sock"))
        speaker.listen()
        assert [source.name for source in sources.host_sources()] == ["ga1"]


@pytest.fixture
def _three(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = ["one/ga1", "one/gb1", "two/ga1"]
    found = [Source(label, Path("/none", label, "agent.sock")) for label in labels]
    monkeypatch.setattr(sources, "sources", [lambda: iter(found)])


@pytest.mark.usefixtures("_three")
@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ([], ["one/ga1", "one/gb1", "two/ga1"]),
        (["--lab", "one"], ["one/ga1", "one/gb1"]),
        (["--gateway", "ga1"], ["one/ga1", "two/ga1"]),
        (["--gateway", "ga1", "--gateway", "gb1", "--lab", "one"], ["one/ga1", "one/gb1"]),
    ],
)
def test_lab_and_gateway_narrow_whom_it_asks(options: list[str], asked: list[str], capsys: Capture) -> None:
    assert main(["status", "-o", "json", *options]) == 1
    assert [g["label"] for g in json.loads(capsys.readouterr().out)["gateways"]] == asked


@pytest.mark.usefixtures("_three")
@pytest.mark.parametrize("verb", [["status"], ["explain", "10.2.0.5"]])
def test_a_lab_or_gateway_that_is_not_there_is_a_usage_error_naming_those_that_are(
    verb: list[str], capsys: Capture
) -> None:
    assert main([*verb, "--lab", "three"]) == 2
    assert "up: one, two" in capsys.readouterr().err
    assert main([*verb, "--gateway", "gc1", "--lab", "two"]) == 2
    assert "found: ga1\n" in capsys.readouterr().err


def explanation(**more: Any) -> dict[str, Any]:
    own = {"prefix": "10.1.0.0/16", "to": ["pa", "pb"], "announced_to": ["pa"], "when": {"peer:fa": "met"}}
    return {"asked": "10.1.0.5", "found": False, "why": "no route", "announced": [own], **more}


def test_explain_says_to_whom_the_gateway_announces_it(runtime: Path, capsys: Capture) -> None:
    with answering(runtime, "agent", {"explain": explanation()}):
        assert main(["explain", "10.1.0.5", "--runtime-dir", str(runtime)]) == 0
    said = capsys.readouterr().out
    assert said == "ga1: this gateway announces 10.1.0.0/16 to pa (not to pb now; when peer:fa=met)\n"


def test_explain_shows_who_carries_a_path_and_goes_on_where_another_gateway_is_silent(
    runtime: Path, capsys: Capture
) -> None:
    path = {"peer": "pa", "kind": "provider", "used": True, "carried_by": "pb", "why": "shortest AS path"}
    kernel = {"route": True, "group": 7, "members": []}
    body = explanation(found=True, announced=[], prefix="10.1.0.0/16", paths=[path], kernel=kernel, if_failed=[])
    with answering(runtime, "agent", {"explain": body}):
        dirs = ["--runtime-dir", str(runtime), "--runtime-dir", str(runtime.parent)]
        assert main(["explain", "10.1.0.5", *dirs]) == 0
    said = capsys.readouterr().out
    assert "by pb for now" in said
    assert "no agent answers at" in said
