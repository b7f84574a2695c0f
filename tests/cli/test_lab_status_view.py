"""``netctl lab status`` as people see it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netctl.cli.main import main
from netctl.lab.api import Lab


def test_a_router_of_many_addresses_shows_the_first_and_all_in_wide_and_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    many = [f"to-n{number} 10.1.{number}.1/24" for number in range(10)]
    common = {"cloud": "a", "daemon": "", "asn": None, "state": "up"}
    nodes = [
        {**common, "node": "fa", "role": "fabric", "addresses": many},
        {**common, "node": "a-vm1", "role": "page", "addresses": ["eth0 10.1.1.10/24"]},
    ]
    data: dict[str, Any] = {"nodes": nodes, "notes": [], "sessions": [], "names": [], "processes": []}
    monkeypatch.setattr(Lab, "open", lambda name: None)
    monkeypatch.setattr("netctl.lab.status.lab_status", lambda lab: data)
    assert main(["lab", "status"]) == 0
    said = capsys.readouterr().out
    assert "to-n0 10.1.0.1/24 +9\n" in said
    assert "eth0 10.1.1.10/24\n" in said
    assert main(["lab", "status", "-o", "wide"]) == 0
    assert ",".join(many) in capsys.readouterr().out
    assert main(["lab", "status", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["nodes"] == nodes
