"""The import rules bite: each kind of violation, planted in a copy of the source, breaks its contract."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(cache_dir=None))"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source to plant in."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("netctl", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint(folder: Path) -> tuple[int, str]:
    variables = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LINT], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_source_keeps_every_rule(copy: Path) -> None:
    code, said = lint(copy)
    assert code == 0, said
    assert "5 kept, 0 broken" in said


@pytest.mark.parametrize(
    ("module", "imports", "said"),
    [
        ("model/planted.py", "import netctl.config", "netctl.model is not allowed to import netctl.config"),
        ("bfd/planted.py", "import netctl.bgp", "netctl.bfd is not allowed to import netctl.bgp"),
        ("agent/planted.py", "import netctl.lab", "netctl.agent is not allowed to import netctl.lab"),
        ("lab/planted.py", "import netctl.agent.decide", "netctl.lab is not allowed to import netctl.agent"),
        ("lab/planted.py", "import netctl.liveness", "netctl.lab is not allowed to import netctl.liveness"),
        ("newroom/__init__.py", "import netctl.model", "netctl.newroom"),
        ("bfd/planted.py", "import asyncio", "netctl.bfd.planted (line 1) imports asyncio; only modules named"),
        ("model/planted.py", "from time import monotonic", "netctl.model.planted (line 1) imports time"),
        ("agent/planted.py", "def f():\n    import socket", "netctl.agent.planted (line 2) imports socket"),
        ("drill/planted.py", "import logging.handlers", "netctl.drill.planted (line 1) imports logging"),
        ("config/planted.py", "import random", "netctl.config.planted (line 1) imports random"),
        ("liveness/planted.py", "import pyroute2", "netctl.liveness.planted imports pyroute2"),
        ("speaker/planted.py", "import netctl.config", "netctl.config"),
        ("agent/planted.py", "import pydantic", "netctl.agent.planted imports pydantic; its homes are config"),
        ("bgp/planted.py", "import typer", "netctl.bgp.planted imports typer; its homes are cli"),
        ("fib/planted.py", "import hypothesis", "netctl.fib.planted imports hypothesis, which has no home"),
    ],
)  # fmt: skip
def test_a_planted_violation_is_found(copy: Path, module: str, imports: str, said: str) -> None:
    path = copy / "netctl" / module
    made = not path.parent.exists()
    path.parent.mkdir(exist_ok=True)
    path.write_text(imports + "\n")
    try:
        code, output = lint(copy)
    finally:
        shutil.rmtree(path.parent) if made else path.unlink()
    assert code == 1, output
    flat = " ".join(output.split())
    assert said in flat, output


def test_io_modules_of_the_pure_rooms_may_act(copy: Path) -> None:
    path = copy / "netctl" / "config" / "planted"
    path.mkdir()
    (path / "__init__.py").write_text("")
    (path / "io.py").write_text("import asyncio\nimport socket\nimport time\n")
    try:
        code, output = lint(copy)
    finally:
        shutil.rmtree(path)
    assert code == 0, output


def test_liveness_and_speakers_load_no_third_party_library_but_msgspec() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import netctl.liveness.__main__, netctl.speaker.__main__, netctl.speaker.relay.__main__\n"
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(tops - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    # typing_extensions: msgspec loads it where it is installed, and does without it.
    assert done.stdout == "['msgspec', 'netctl', 'typing_extensions']\n", done.stderr
