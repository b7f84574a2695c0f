"""Tables, JSON and YAML of the same data."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from ruamel.yaml import YAML

from netctl.cli.output import Column, Format, View, called, emit, emit_views, progress

ROWS = [
    {"peer": "pa", "bgp": {"state": "up"}, "ms": 1.5, "tags": ["x", "y"], "why": None},
    {"peer": "provider-b", "bgp": {"state": "down"}, "ms": 150.0, "tags": [], "why": "hold time"},
]
COLUMNS: list[Column | str] = [
    "peer",
    Column("bgp.state", "session"),
    Column("ms", right=True),
    "tags",
    Column("why", wide=True),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def text(fmt: Format, out: io.StringIO | None = None) -> str:
    out = out or io.StringIO()
    emit(ROWS, COLUMNS, fmt, file=out)
    return out.getvalue()


def test_a_table_has_aligned_columns_and_dashes_for_nothing() -> None:
    assert text(Format.table).splitlines() == [
        "PEER        SESSION   MS  TAGS",
        "pa          up       1.5  x,y",
        "provider-b  down     150  -",
    ]


def test_wide_shows_the_columns_that_a_table_leaves_out() -> None:
    assert text(Format.wide).splitlines()[2].endswith("-     hold time")


def test_json_and_yaml_hold_everything_whatever_the_columns() -> None:
    assert json.loads(text(Format.json)) == ROWS
    assert YAML(typ="safe", pure=True).load(text(Format.yaml)) == ROWS


def test_state_words_are_coloured_on_a_terminal_only_and_never_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[32mup     \x1b[0m" in text(Format.table, Terminal())
    assert "\x1b" not in text(Format.table)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in text(Format.table, Terminal())


def test_what_a_peer_sent_cannot_write_escape_sequences_to_the_terminal() -> None:
    out = io.StringIO()
    emit([{"reason": "\x1b[2Jgone\nfake row"}], ["reason"], file=out)
    assert out.getvalue() == "REASON\n\\x1b[2Jgone\\nfake row\n"


def test_one_object_is_shown_as_keys_and_values() -> None:
    out = io.StringIO()
    emit({"name": "ga1", "peers": 2}, file=out)
    assert out.getvalue() == "KEY    VALUE\nname   ga1\npeers  2\n"


def test_dataclasses_structs_paths_and_tuples_are_plain_data() -> None:
    @dataclass
    class Flow:
        ends: tuple[str, str]
        log: Path

    class Sent(msgspec.Struct):
        flow: Flow
        outage_ms: float

    out = io.StringIO()
    emit([Sent(Flow(("a", "b"), Path("/x")), float("nan"))], fmt="json", file=out)
    assert json.loads(out.getvalue()) == [{"flow": {"ends": ["a", "b"], "log": "/x"}, "outage_ms": None}]


def test_several_tables_have_titles_and_notes_and_one_document() -> None:
    views = [View(ROWS, ["peer"], title="Peers"), View([], ["x"], title="Nothing", note="none yet")]
    out = io.StringIO()
    emit_views({"all": 1}, views, file=out)
    assert out.getvalue() == "Peers\nPEER\npa\nprovider-b\n\nNothing\nX\nnone yet\n"
    out = io.StringIO()
    emit_views({"all": 1}, views, "json", file=out)
    assert json.loads(out.getvalue()) == {"all": 1}


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    progress("working")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "working\n")


def test_netctl_is_named_as_it_can_be_called_from_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "venv" / "bin" / "netctl"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    monkeypatch.setattr("sys.argv", [str(program), "lab", "up"])
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir("/usr")
    assert called() == str(program)
    monkeypatch.setenv("PATH", f"/bin:{program.parent}")
    assert called() == "netctl"
    monkeypatch.chdir(tmp_path)
    assert called() == "venv/bin/netctl"
    monkeypatch.setattr("sys.argv", ["/somewhere/netctl/cli/main.py"])
    assert called().endswith(" -m netctl.cli.main")
