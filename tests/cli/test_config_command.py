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
    assert capsys.readouterr().out == f"{files[0]}: valid gateway file\n" * 2


def test_problems_are_lines_that_editors_understand_with_code_2(files: tuple[str, str], capsys: Capture) -> None:
    good, bad = files
    assert main(["config", "check", bad, good, "/none"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{bad}:4:6", f"{bad}:7:16", good, "/none"]
    assert lines[1].endswith("did you mean 'kind'?")


def test_json_holds_every_problem_with_its_parts(files: tuple[str, str], capsys: Capture) -> None:
    assert main(["config", "check", "-o", "json", *files]) == 2
    good, bad = json.loads(capsys.readouterr().out)
    assert good == {"file": files[0], "kind": "gateway", "valid": True, "problems": []}
    assert [(p["line"], p["column"], p["where"], p["meant"]) for p in bad["problems"]] == [
        (4, 6, "asn", ""),
        (7, 16, "peers[0].knd", "kind"),
    ]


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    for text, code, said in (
        (VALID, 0, "-: valid gateway file\n"),
        (VALID.replace("65100", "0"), 2, "-:4:6: asn: is too small"),
    ):
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


CONTROLLER = """\
version: 1
sources: [{name: vms, file: {path: vms.yaml}}]
clusters: [{name: a, cloud: a, kubeconfig: a.kubeconfig}]
"""
CHECKER = """\
version: 1
checker: a1
cloud: a
controllers: ["127.0.0.1:7946"]
"""


def test_every_kind_of_file_is_recognised_and_files_that_it_names_may_come_later(
    tmp_path: Path, capsys: Capture
) -> None:
    controller, checker = tmp_path / "controller.yaml", tmp_path / "checker.yaml"
    controller.write_text(CONTROLLER)
    checker.write_text(CHECKER)
    (tmp_path / "vms.yaml").touch()
    assert main(["config", "check", str(controller), str(checker)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{controller}: valid controller file\n{checker}: valid checker file\n"
    assert captured.err == f"{controller}: names {tmp_path}/a.kubeconfig, which is not there (yet)\n"
    assert main(["config", "migrate", str(checker)]) == 0
    assert "a checker file of version 1, the newest" in capsys.readouterr().err
    controller.write_text(CONTROLLER.replace("cloud: a", "cluod: a"))
    assert main(["config", "check", str(controller)]) == 2
    assert (
        capsys.readouterr().out
        == f"{controller}:3:22: clusters[0].cluod: unknown key (value 'a'); did you mean 'cloud'?\n"
    )


@pytest.mark.parametrize(
    ("kind", "required"),
    [
        ("gateway", ["version", "gateway", "cloud", "asn", "router_id", "peers"]),
        ("controller", ["version", "sources", "clusters"]),
        ("checker", ["version", "checker", "cloud", "controllers"]),
    ],
)
def test_each_kind_of_file_has_a_schema(kind: str, required: list[str], capsys: Capture) -> None:
    assert main(["config", "schema", kind]) == 0
    assert json.loads(capsys.readouterr().out)["required"] == required


def test_a_schema_of_no_kind_is_a_usage_error(capsys: Capture) -> None:
    assert main(["config", "schema", "agent"]) == 2
    assert "there are no agent files\n  hint: kinds: gateway, controller, checker" in capsys.readouterr().err


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
