"""The command line's frame: nouns, exit codes, one clear line for every outcome."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import typer

from netctl import __version__
from netctl.cli import main as cli
from netctl.cli.buglog import MAX_REPORTS, write_bug
from netctl.cli.commands import load_command
from netctl.cli.nouns import NOUNS, Noun
from netctl.model.errors import (
    AbortedError,
    InconclusiveError,
    NetctlError,
    RefusedError,
    RestoreFailedError,
    UsageError,
)

Install = Callable[[Callable[..., object]], None]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Gives ``netctl thing do`` the behaviour of a function."""

    def install(function: Callable[..., object]) -> None:
        module = ModuleType("netctl_cli_thing")
        module.app = typer.Typer()  # type: ignore[attr-defined]
        module.app.command("do")(function)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(NOUNS, "thing", Noun(module.__name__, "a thing"))

    return install


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "netctl.cli.main", *words]
    return subprocess.run(
        program, capture_output=True, text=True, check=False, timeout=60, env={"PATH": "/usr/bin", **variables}
    )


def test_help_and_version_need_neither_typer_nor_any_noun() -> None:
    code = (
        "import sys; from netctl.cli.main import main; main(['--help']); main(['--version']);"
        "print(sorted({'typer', 'rich', 'pydantic', 'pyroute2', 'aiohttp', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith(f"netctl {__version__}\n[]\n")


def test_help_is_there_within_a_fifth_of_a_second() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        assert run("--help").returncode == 0
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.2


def test_every_noun_is_listed_imports_and_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    listed = capsys.readouterr().out
    for name in NOUNS:
        assert f"  {name} " in listed
        assert cli.main([name, "--help"]) == 0, name
        assert f"netctl {name}" in capsys.readouterr().out


def verbs(name: str) -> list[list[str]]:
    """The noun, and each of its verbs."""
    command = load_command(name, NOUNS[name])
    return [[name], *([name, verb] for verb in getattr(command, "commands", {}))]


@pytest.mark.parametrize("words", [words for name in NOUNS for words in verbs(name)], ids=" ".join)
def test_dash_h_is_help_at_every_level_in_words_and_not_in_pythons_types(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, "-h"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: netctl {' '.join(words)}")
    assert "-h, --help" in said
    assert not re.search(r"<bool>|list\[|…", said)


def test_no_words_print_the_help_and_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert capsys.readouterr().out.startswith("Usage: netctl COMMAND")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["drlil"], "netctl: no such command: 'drlil'\n  hint: did you mean 'netctl drill'? "),
        (["--colour"], "netctl: no such option: '--colour'\n"),
        (["config", "chekc"], "netctl: No such command 'chekc'"),
        (["config", "check"], "netctl: Missing argument 'FILE...'.\n  hint: see 'netctl config check --help'\n"),
        (["config", "check", "x", "-o", "xml"], "netctl: Invalid value for '-o' / '--output': 'xml' is not one of"),
        (["config", "check", "x", "--fast"], "netctl: No such option: --fast"),
    ],
)
def test_a_wrong_command_line_is_one_line_with_a_hint_and_code_2(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(said)
    assert captured.out == ""
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NetctlError("m", "h"), 1),
        (UsageError("m", "h"), 2),
        (RefusedError("m", "h"), 3),
        (AbortedError("m", "h"), 4),
        (RestoreFailedError("m", "h"), 5),
        (InconclusiveError("m", "h"), 6),
    ],
)
def test_an_error_of_the_users_is_a_line_with_its_hint_and_its_own_code(
    capsys: pytest.CaptureFixture[str], verb: Install, error: NetctlError, code: int
) -> None:
    def fail() -> None:
        raise error

    verb(fail)
    assert cli.main(["thing", "do"]) == code
    assert capsys.readouterr().err == "netctl: m\n  hint: h\n"


def test_a_command_chooses_its_exit_code_by_returning_it(verb: Install) -> None:
    def returns() -> int:
        return 10

    verb(returns)
    assert cli.main(["thing", "do"]) == 10


def test_a_command_may_also_leave_with_an_exit_code(verb: Install) -> None:
    def exits() -> None:
        raise typer.Exit(6)

    verb(exits)
    assert cli.main(["thing", "do"]) == 6


def test_ctrl_c_ends_with_130_and_no_traceback(capsys: pytest.CaptureFixture[str], verb: Install) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    verb(interrupted)
    assert cli.main(["thing", "do"]) == 130
    assert capsys.readouterr().err == "netctl: interrupted\n"


def test_a_bug_is_one_line_that_names_the_file_with_the_traceback(
    capsys: pytest.CaptureFixture[str], verb: Install, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def bug() -> None:
        raise ZeroDivisionError("first line\nsecond line")

    verb(bug)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("NETCTL_DEBUG", raising=False)
    assert cli.main(["thing", "do"]) == 1
    (log,) = (tmp_path / "netctl").iterdir()
    error = capsys.readouterr().err
    assert error.startswith("netctl: internal error: ZeroDivisionError: first line\n")
    assert str(log) in error
    assert "Traceback" not in error
    assert "netctl thing do" in log.read_text()
    assert "raise ZeroDivisionError" in log.read_text()


def test_a_bug_shows_its_traceback_where_no_file_can_be_written(
    capsys: pytest.CaptureFixture[str], verb: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug() -> None:
        raise ZeroDivisionError

    verb(bug)
    monkeypatch.setattr("netctl.cli.buglog._folders", lambda: [Path("/proc/none")])
    assert cli.main(["thing", "do"]) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert "netctl: internal error: ZeroDivisionError: no message" in error


def test_only_the_newest_reports_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netctl.cli.buglog._folders", lambda: [tmp_path / "reports"])
    pids = iter(range(1000, 1100))
    monkeypatch.setattr("netctl.cli.buglog.os.getpid", lambda: next(pids))
    written = [write_bug(["netctl"], str(number)) for number in range(30)]
    assert len(list((tmp_path / "reports").iterdir())) == MAX_REPORTS
    assert written[-1] is not None
    assert written[-1].exists()


def test_a_reader_that_closes_early_is_no_error() -> None:
    command = f"{sys.executable} -m netctl.cli.main config schema | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "{\n0\n"
    assert done.stderr == ""


def test_a_full_disk_is_one_line_and_no_bug() -> None:
    command = f"{sys.executable} -m netctl.cli.main config schema >/dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "netctl: no space left on the device\n  hint: make room\n")


def test_completion_offers_nouns_and_then_their_verbs() -> None:
    def complete(line: str, word: int) -> list[str]:
        done = run(_NETCTL_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(word))
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert "drill" in complete("netctl dr", 1)
    assert complete("netctl config ", 2) == ["check", "schema", "migrate"]
    assert run(_NETCTL_COMPLETE="source_bash").stdout.strip().endswith("-F _netctl_completion netctl")
