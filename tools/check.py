"""``make check``: everything about the source that a machine can judge. Exit code 0 when all of it is well, else 1.

Each check is a function that returns its complaints, one a line; they run two at a time. Names on the command line
choose some of them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ["netctl", "tests", "tools"]
MAX_LINES = 400
LONG_LINES = 300
LONG_REASON = r"# long because: \S"
KITS = ("bgp", "dns", "deploy")

Complaints = list[str]


def run(*argv: str, cwd: Path = ROOT, env: dict[str, str] | None = None) -> Complaints:
    """Run a program; its output is the complaint when it fails."""
    variables = {**os.environ, "NO_COLOR": "1", **(env or {})}
    done = subprocess.run(
        argv, cwd=cwd, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return (
        []
        if done.returncode == 0
        else [*done.stdout.splitlines(), f"{Path(argv[0]).name} ended with {done.returncode}"]
    )


def module(name: str, *args: str) -> Complaints:
    """Run a Python module of this environment."""
    return run(sys.executable, "-m", name, *args)


def source_files(root: Path = ROOT) -> list[Path]:
    """Every Python file of the project."""
    return sorted(path for top in PYTHON for path in (root / top).rglob("*.py"))


def check_format() -> Complaints:
    return module("ruff", "format", "--check", *PYTHON)


def check_lint() -> Complaints:
    return module("ruff", "check", "--quiet", *PYTHON)


def check_types() -> Complaints:
    return module("mypy", "--strict", *PYTHON)


def check_imports() -> Complaints:
    code = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports())"
    return run(sys.executable, "-c", code)


def check_lengths(root: Path = ROOT) -> Complaints:
    """A module over 400 lines is two rooms; one over 300 says on its first line why it is one."""
    complaints = []
    for path in source_files(root):
        lines = path.read_text(encoding="utf-8").splitlines()
        where = f"{path.relative_to(root)}: {len(lines)} lines"
        if len(lines) > MAX_LINES:
            complaints.append(f"{where}, {MAX_LINES} allowed: split it")
        elif len(lines) > LONG_LINES and not re.match(LONG_REASON, lines[0]):
            complaints.append(f"{where}: over {LONG_LINES} wants '# long because: …' as its first line")
    return complaints


def check_kits(root: Path = ROOT) -> Complaints:
    """No Python under bgp/ or dns/: an importable top-level ``dns`` would hide the library of that name."""
    complaints = [f"{kit}/ is missing" for kit in KITS if not (root / kit).is_dir()]
    for kit in KITS:
        complaints += [
            f"{path.relative_to(root)}: no Python in the kits" for path in sorted((root / kit).rglob("*.py*"))
        ]
    if (root / "tests" / "dns").exists():
        complaints.append("tests/dns: call it otherwise, it would hide the library dns")
    return complaints


def check_shell() -> Complaints:
    scripts = [*sorted((ROOT / "tools").glob("*.sh")), ROOT / ".ci" / "run"]
    complaints = [line for script in scripts for line in run("bash", "-n", str(script))]
    if shutil.which("shellcheck"):
        complaints += run("shellcheck", *map(str, scripts))
    return complaints


# --- packages: every way to install netctl finds its kits ----------------------------------------------------------

FIND_KITS = """
import pathlib, sys
import netctl
from netctl.kits import kit
from netctl.cli.main import main
for name in {kits}:
    folder = kit(name)
    files = [path.name for path in folder.iterdir()]
    assert files, f"{{folder}} is empty"
    assert {inside} == folder.is_relative_to(pathlib.Path({root!r})), f"found the wrong one: {{folder}}"
assert (pathlib.Path(netctl.__file__).parent / "lab" / "topology.yaml").is_file(), "the lab's topology is missing"
sys.exit(main(["--version"]))
"""


def find_kits(packages: Path, *, checkout: bool) -> Complaints:
    """Whether the netctl that is installed in a folder finds its kits: those of the checkout, or its own."""
    code = FIND_KITS.format(kits=KITS, inside=checkout, root=str(ROOT))
    # -P: not the checkout's own netctl/ by way of the working directory.
    return run(sys.executable, "-P", "-c", code, cwd=packages, env={"PYTHONPATH": str(packages)})


def build(kind: str, source: Path, folder: Path) -> tuple[Path | None, Complaints]:
    """Build one distribution into a folder, with the locked build backend and no network."""
    complaints = module("build", "--no-isolation", f"--{kind}", "--outdir", str(folder), str(source))
    found = sorted(folder.glob("*.whl" if kind == "wheel" else "*.tar.gz"))
    return (found[0], []) if found and not complaints else (None, complaints or [f"no {kind} was built"])


def check_wheel(source: Path = ROOT) -> Complaints:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, complaints = build("wheel", source, folder / "dist")
        if wheel is None:
            return complaints
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "site")
        return find_kits(folder / "site", checkout=False)


def check_sdist() -> Complaints:
    """The source distribution alone is enough to build a whole wheel."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sdist, complaints = build("sdist", ROOT, folder)
        if sdist is None:
            return complaints
        if complaints := run("tar", "-xzf", str(sdist), cwd=folder):
            return complaints
        return check_wheel(folder / sdist.name.removesuffix(".tar.gz"))


def check_editable() -> Complaints:
    """An editable install reads the checkout: its code and its kits."""
    with tempfile.TemporaryDirectory() as name:
        site = Path(name) / "site"
        options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
        complaints = module("pip", "install", *options, "--target", str(site), "--editable", str(ROOT))
        if complaints:
            return complaints
        # A folder of PYTHONPATH is no site folder: follow its .pth file as site would.
        paths = [line for pth in site.glob("*.pth") for line in pth.read_text(encoding="utf-8").splitlines()]
        return find_kits(Path(paths[0]), checkout=True) if paths else ["the editable install has no .pth file"]


CHECKS: dict[str, Callable[[], Complaints]] = {
    "types": check_types,
    "format": check_format,
    "lint": check_lint,
    "imports": check_imports,
    "lengths": check_lengths,
    "kits": check_kits,
    "shell": check_shell,
    "wheel": check_wheel,
    "sdist": check_sdist,
    "editable": check_editable,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        sys.stderr.write(f"no such check: {', '.join(unknown)}; there are {', '.join(CHECKS)}\n")
        return 2
    bad = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        jobs = {name: pool.submit(timed, CHECKS[name]) for name in names or CHECKS}
        for name, job in jobs.items():
            complaints, seconds = job.result()
            sys.stdout.write(f"{'FAILED' if complaints else 'ok    '} {name} ({seconds:.1f} s)\n")
            sys.stdout.writelines(f"    {line}\n" for line in complaints)
            sys.stdout.flush()
            bad += bool(complaints)
    sys.stdout.write(f"{bad} of {len(jobs)} checks failed\n" if bad else f"all {len(jobs)} checks are well\n")
    return 1 if bad else 0


def timed(check: Callable[[], Complaints]) -> tuple[Complaints, float]:
    start = time.monotonic()
    return check(), time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
