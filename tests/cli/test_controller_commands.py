"""``netctl controller`` and ``netctl checker``: what they are given, what they print, their exit codes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from netctl.cli.main import main
from netctl.ipc.messages import Request
from netctl.model.controller import Checker, Controller
from tests.cli.fake_program import answering

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "controller.yaml"
    path.write_text(
        f"version: 1\nruntime_dir: {tmp_path}\nsources: [{{name: vms, file: {{path: vms.yaml}}}}]\n"
        "clusters: [{name: a, cloud: a, kubeconfig: a.kubeconfig}]\n"
    )
    return str(path)


@pytest.fixture
def checker_config(tmp_path: Path) -> str:
    path = tmp_path / "checker.yaml"
    path.write_text(f'version: 1\nchecker: a1\ncloud: a\nruntime_dir: {tmp_path}\ncontrollers: ["127.0.0.1:7946"]\n')
    return str(path)


def program(monkeypatch: pytest.MonkeyPatch, module: str, **functions: Callable[..., Any]) -> None:
    """The program's module with these functions in place of its own: what is tested is how it is called."""
    fake = ModuleType(module)
    for name, function in functions.items():
        setattr(fake, name, function)
    monkeypatch.setitem(sys.modules, module, fake)


def test_run_gives_the_programs_their_validated_files(
    config: str, checker_config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    program(monkeypatch, "netctl.controller.io", run_controller=given.append)
    program(monkeypatch, "netctl.checker.io", run_checker=given.append)
    assert main(["controller", "run", "--config", config]) == 0
    assert main(["checker", "run", "--config", checker_config]) == 0
    controller, checker = given
    assert isinstance(controller, Controller)
    assert controller.clusters[0].kubeconfig == str(tmp_path / "a.kubeconfig")
    assert isinstance(checker, Checker)
    assert checker.name == "a1"


def test_a_file_with_mistakes_is_refused_before_anything_runs(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    Path(config).write_text(Path(config).read_text().replace("sources", "sorces"))
    ran: list[Any] = []
    program(monkeypatch, "netctl.controller.io", run_controller=ran.append, plan_once=ran.append)
    for verb in ("run", "plan"):
        assert main(["controller", verb, "--config", config]) == 2
        assert f"{config}:3:1: sorces: unknown key; did you mean 'sources'?" in capsys.readouterr().err
    assert ran == []


@pytest.mark.parametrize(("verb", "library"), [("run", "kubernetes"), ("plan", "kubernetes"), ("run", "aiohttp")])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    verb: str, library: str, config: str, checker_config: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == library else real(name))
    words = ["controller", verb, "--config", config]
    if library == "aiohttp":
        words = ["checker", "run", "--config", checker_config]
    assert main(words) == 3
    assert capsys.readouterr().err == (
        f"netctl: the {words[0]} needs the Python library {library}, which is not installed\n"
        "  hint: pip install 'netctl[controller]'\n"
    )


def test_a_plan_with_changes_ends_with_10_and_without_any_with_0(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    service = {"cluster": "a", "verb": "create", "resource": "services", "name": "orders", "why": "it is new"}
    slices = {**service, "resource": "endpointslices", "name": "orders-netctl-0", "why": "add 10.1.0.5"}
    stale = {**service, "verb": "delete", "name": "old", "why": "nothing is left to serve"}
    writes = [service, slices, stale]
    planned = {"writes": writes, "holds": [], "skipped": [], "skipped_total": 0}
    program(monkeypatch, "netctl.controller.io", plan_once=lambda settings: planned)
    assert main(["controller", "plan", "--config", config]) == 10
    captured = capsys.readouterr()
    assert captured.out.splitlines()[2].split() == [
        "a",
        "create",
        "endpointslices",
        "orders-netctl-0",
        "add",
        "10.1.0.5",
    ]
    assert captured.err == "3 changes: 2 to create, 1 to delete\n"
    assert main(["controller", "plan", "--config", config, "-o", "json"]) == 10
    assert json.loads(capsys.readouterr().out) == planned
    writes.clear()
    assert main(["controller", "plan", "--config", config]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "no changes\n")


def test_a_plan_says_what_would_be_held_back_and_which_entries_are_skipped(
    config: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    hold = {"service": "shop", "instances": ["s1", "s2"], "served": 2, "reason": "2 of 2 no longer listed"}
    skipped = [{"source": "vms", "key": "shop/s3", "reason": "the address 127.0.0.1 is a loopback address"}]
    planned = {"writes": [], "holds": [hold], "skipped": skipped, "skipped_total": 5}
    program(monkeypatch, "netctl.controller.io", plan_once=lambda settings: planned)
    assert main(["controller", "plan", "--config", config]) == 0
    held, refused = capsys.readouterr().out.split("\n\n")
    assert held.splitlines() == [
        "1 hold: shop (2 of 2 would go)",
        "SERVICE  INSTANCES",
        "shop     s1,s2",
        "  2 of 2 no longer listed",
    ]
    assert refused.splitlines()[1:] == [
        "vms     shop/s3  the address 127.0.0.1 is a loopback address",
        "and 4 more entries are skipped",
    ]


def test_metrics_come_from_the_programs_socket(
    config: str, checker_config: str, tmp_path: Path, capsys: Capture
) -> None:
    for name, path in (("controller", config), ("checker", checker_config)):
        with answering(tmp_path, name, {"metrics": {"text": f"netctl_{name}_up 1\n"}}) as asked:
            assert main([name, "metrics", "--config", path]) == 0
        assert asked == [Request("metrics")]
        assert capsys.readouterr().out == f"netctl_{name}_up 1\n"
        assert main([name, "metrics", "--config", path]) == 3
        said = capsys.readouterr().err
        assert f"no {name} answers at {tmp_path}/{name}.sock" in said
        assert f"hint: netctl {name} run --config FILE" in said


def test_status_needs_none_of_the_extras() -> None:
    """A machine with nothing but a controller has no pyroute2, one with nothing but a gateway no kubernetes."""
    code = (
        "import sys\n"
        "for name in ('pyroute2', 'exabgp', 'aiohttp', 'kubernetes', 'cryptography', 'dns'): sys.modules[name] = None\n"
        "from netctl.cli.main import main\n"
        "codes = [main(['status', '--runtime-dir', '/none']), main(['holds', 'list', '--runtime-dir', '/none']),\n"
        "         main(['explain', 'orders', '--runtime-dir', '/none'])]\n"
        "assert codes == [1, 3, 3], codes\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "internal error" not in done.stderr
