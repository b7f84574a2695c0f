"""``netctl config``: what it prints, and its exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from netctl.cli.main import main

VALID = """\
version: 1
gateway: ga1
cloud: a
asn: 65100
router_id: 10.0.1.1
peers:
  - {name: pa, kind: provider, interface: gw-pa, local: 10.0.1.1, address: 10.0.1.2, asn: 65001}
"""

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A valid file and one with two mistakes."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(VALID)
    bad.write_text(VALID.replace("65100", "0").replace("kind:", "knd:"))
    return str(good), str(bad)


def test_valid_files_are_said_to_be_valid_with_code_0(files: tuple[str, str], capsys: Capture) -> None:
    assert main(["config", "check", files[0], files[0]]) == 0
    assert capsys.readouterr().out == f"{files[0]}: valid\n" * 2


def test_problems_are_lines_that_editors_understand_with_code_2(files: tuple[str, str], capsys: Capture) -> None:
    good, bad = files
    assert main(["config", "check", bad, good, "/none"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{bad}:4:6", f"{bad}:7:16", good, "/none"]
    assert lines[1].endswith("did you mean 'kind'?")


def test_json_holds_every_problem_with_its_parts(files: tuple[str, str], capsys: Capture) -> None:
    assert main(["config", "check", "-o", "json", *files]) == 2
    good, bad = json.loads(capsys.readouterr().out)
    assert good == {"file": files[0], "valid": True, "problems": []}
    assert [(p["line"], p["column"], p["where"], p["meant"]) for p in bad["problems"]] == [
        (4, 6, "asn", ""),
        (7, 16, "peers[0].knd", "kind"),
    ]


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    for text, code, said in ((VALID, 0, "-: valid\n"), (VALID.replace("65100", "0"), 2, "-:4:6: asn: is too small")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert main(["config", "check", "-"]) == code
        assert capsys.readouterr().out.startswith(said)


def test_a_thousand_problems_are_counted_and_not_all_printed(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(VALID + "".join(f"k{number}: 1\n" for number in range(1000)))
    assert main(["config", "check", str(path)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 51
    assert lines[-1] == f"{path}: and 950 more problems"


def test_the_schema_is_json(capsys: Capture) -> None:
    assert main(["config", "schema"]) == 0
    required = json.loads(capsys.readouterr().out)["required"]
    assert required == ["version", "gateway", "cloud", "asn", "router_id", "peers"]


def test_migrate_leaves_a_file_of_the_newest_version_alone(files: tuple[str, str], capsys: Capture) -> None:
    good, bad = files
    assert main(["config", "migrate", good]) == 0
    assert "nothing to do" in capsys.readouterr().err
    assert Path(good).read_text() == VALID
    assert main(["config", "migrate", bad]) == 2
    assert f"{bad}:4:6: asn: is too small" in capsys.readouterr().err
