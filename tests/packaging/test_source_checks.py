"""``tools/check.py``: what it refuses; and what the lock and the packages must be."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"netctl_tool_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check = load_tool("check")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An empty project."""
    for name in ("netctl", "tests", "tools", "bgp", "dns", "deploy"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_a_module_of_401_lines_is_refused_and_one_of_301_wants_a_reason(tree: Path) -> None:
    room = tree / "netctl"
    (room / "fine.py").write_text("x\n" * 300)
    (room / "reasoned.py").write_text("# long because: it is one table\n" + "x\n" * 399)
    assert check.check_lengths(tree) == []
    (room / "long.py").write_text("x\n" * 301)
    (room / "empty_reason.py").write_text("# long because: \n" + "x\n" * 301)
    (room / "too_long.py").write_text("# long because: it is one table\n" + "x\n" * 400)
    complaints = check.check_lengths(tree)
    assert [line.split(":")[0] for line in complaints] == [
        "netctl/empty_reason.py",
        "netctl/long.py",
        "netctl/too_long.py",
    ]
    assert complaints[2] == "netctl/too_long.py: 401 lines, 400 allowed: split it"


def test_python_in_a_kit_and_a_test_package_called_dns_are_refused(tree: Path) -> None:
    assert check.check_kits(tree) == []
    (tree / "dns" / "__init__.py").write_text("")
    (tree / "bgp" / "deep").mkdir()
    (tree / "bgp" / "deep" / "x.py").write_text("")
    (tree / "tests" / "dns").mkdir()
    assert len(check.check_kits(tree)) == 3
    (tree / "bgp").rename(tree / "bpg")
    assert "bgp/ is missing" in check.check_kits(tree)


def test_wheel_sdist_and_editable_installs_find_their_kits() -> None:
    assert check.check_wheel() == []
    assert check.check_sdist() == []
    assert check.check_editable() == []


def test_an_installation_that_lost_its_kits_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "netctl").symlink_to(ROOT / "netctl")
    assert check.find_kits(ROOT, checkout=True) == []
    complaints = check.find_kits(tmp_path, checkout=False)  # finds the checkout's kits, not its own
    assert "found the wrong one" in "\n".join(complaints)


def test_an_unknown_check_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["speed"]) == 2
    assert "no such check: speed; there are types, format" in capsys.readouterr().err


def test_a_failing_check_is_shown_and_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "CHECKS", {"good": list, "bad": lambda: ["this line"]})
    assert check.main([]) == 1
    assert re.sub(r"\d+\.\d", "0.0", capsys.readouterr().out) == (
        "ok     good (0.0 s)\nFAILED bad (0.0 s)\n    this line\n1 of 2 checks failed\n"
    )


# --- the lock ------------------------------------------------------------------------------------------------------


def project_name(requirement: str) -> str:
    """The normalised name that a requirement starts with (PEP 503)."""
    return re.sub(r"[-_.]+", "-", re.split(r"[=<>! ;\[]", requirement)[0]).lower()


def requirements() -> dict[str, str]:
    """Name → the whole entry of the lock, continuation lines joined, comments gone."""
    text = (ROOT / "requirements.lock").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    entries = "\n".join(lines).replace("\\\n", " ").splitlines()
    return {project_name(entry): entry for entry in entries if entry.strip()}


def test_the_lock_names_no_index_and_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host|^-i\b| @ ", text, re.MULTILINE) is None


def test_the_lock_pins_and_hashes_everything() -> None:
    assert len(requirements()) > 30
    for name, entry in requirements().items():
        assert re.match(r"[A-Za-z0-9._-]+==[^ ]+ ", entry), name
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), name


def test_the_lock_holds_every_dependency_and_the_build_backend() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += [requirement for requirement in extra if not requirement.startswith("netctl[")]
    assert {project_name(requirement) for requirement in wanted} <= set(requirements())


def test_the_backend_that_is_locked_is_the_one_that_builds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = requirements()
    for pin in project["build-system"]["requires"]:
        assert locked[pin.partition("==")[0]].startswith(pin + " ")


# --- make ----------------------------------------------------------------------------------------------------------


def test_make_alone_lists_every_target() -> None:
    done = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True)
    listed = re.findall(r"^  ([a-z]+) ", done.stdout, re.MULTILINE)
    assert listed == ["help", "try", "lab", "parts", "test", "check", "bench", "soak", "clean"]


def test_bench_without_a_name_lists_what_there_is() -> None:
    done = subprocess.run(["make", "-C", str(ROOT), "bench"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "make bench B=NAME" in done.stderr
    assert "failover" in done.stderr


def test_the_tests_that_are_run_for_a_verdict_are_those_of_make_test() -> None:
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    assert script[-1] == "exec make test"
    assert [line for line in script if line and not line.startswith(("#", "set ", "cd "))] == ["exec make test"]
