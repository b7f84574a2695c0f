"""``tools/setup.sh``'s virtual environment: built once, repaired, shared, never somebody else's folder.

A stand-in Python notes what it is asked for and makes what the real one would, so that each case takes milliseconds;
the real one is what ``make test`` itself ran through.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

STAND_IN = r"""#!/bin/bash
here=$(cd "$(dirname "$0")" && pwd)
case "$*" in
    "-c import sys; sys.exit"*) [ -z "$STAND_IN_TOO_OLD" ] ;;
    "-c import ensurepip, venv") [ -z "$STAND_IN_WITHOUT_ENSUREPIP" ] ;;
    "-c import venv") ;;
    "-m venv"*)
        echo venv >>"$STAND_IN_LOG"
        for folder; do :; done
        rm -rf "$folder"; mkdir -p "$folder/bin"
        cp "$0" "$folder/bin/python"
        echo "#!$folder/bin/python" >"$folder/bin/pip"
        touch "$folder/pyvenv.cfg" ;;
    *get_pip.py) echo get_pip >>"$STAND_IN_LOG"; [ -z "$STAND_IN_WITHOUT_INDEX" ] ;;
    "-m pip --version") ;;
    "-m pip "*"-r "*)
        echo lock >>"$STAND_IN_LOG"
        if [ -n "$STAND_IN_HANGS" ]; then sleep 300; fi
        if [ -n "$STAND_IN_WITHOUT_INDEX" ]; then echo "no such host" >&2; exit 1; fi
        sleep 0.2 ;;
    "-m pip "*"-e "*)
        echo editable >>"$STAND_IN_LOG"
        printf '#!/bin/sh\necho "netctl $*"\n' >"$here/netctl"; chmod +x "$here/netctl" ;;
    *) echo "unexpected: $*" >>"$STAND_IN_LOG"; exit 99 ;;
esac
"""


class Checkout:
    """A checkout with nothing in it but what the set-up reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venv = folder / ".venv"
        (folder / "tools").mkdir(parents=True)
        shutil.copy(ROOT / "tools" / "setup.sh", folder / "tools")
        (folder / "requirements.lock").write_text("a==1\n")
        (folder / "pyproject.toml").write_text("")
        python = folder / "stand-in"
        python.write_text(STAND_IN)
        python.chmod(0o755)
        self.log = folder / "log"
        self.variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "NETCTL_PYTHON": str(python),
            "STAND_IN_LOG": str(self.log),
        }

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.folder / "tools" / "setup.sh"), *words],
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, **variables: str) -> tuple[int, str, str]:
        process = self.start(*words, **variables)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def steps(self) -> list[str]:
        """What was done since the last call."""
        steps = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return steps


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A new checkout."""
    return Checkout(tmp_path / "checkout")


@pytest.fixture
def hanging(checkout: Checkout) -> Iterator[subprocess.Popen[str]]:
    """A set-up that is in the middle of installing the packages."""
    process = checkout.start(STAND_IN_HANGS="1")
    deadline = time.monotonic() + 30
    while not (checkout.log.exists() and "lock" in checkout.log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


ALL = ["venv", "lock", "editable"]


def test_the_first_run_builds_everything_and_the_next_does_nothing_in_half_a_second(checkout: Checkout) -> None:
    assert checkout.run()[0] == 0
    assert checkout.steps() == ALL
    start = time.monotonic()
    code, out, err = checkout.run("--", "netctl", "lab", "up")
    assert time.monotonic() - start < 0.5
    assert (code, out, err) == (0, "netctl lab up\n", "")
    assert checkout.steps() == []


def test_the_command_runs_in_the_checkout_with_the_environments_programs_and_its_exit_code_counts(
    checkout: Checkout,
) -> None:
    code, out, _ = checkout.run("--", "sh", "-c", 'echo "$PWD $VIRTUAL_ENV"; command -v netctl; exit 7')
    assert code == 7
    assert out == f"{checkout.folder} {checkout.venv}\n{checkout.venv}/bin/netctl\n"


def test_a_changed_lock_is_installed_without_building_anew(checkout: Checkout) -> None:
    checkout.run()
    checkout.steps()
    (checkout.folder / "requirements.lock").write_text("a==2\n")
    assert checkout.run()[0] == 0
    assert checkout.steps() == ["lock", "editable"]


def test_an_environment_without_a_stamp_is_completed_and_not_thrown_away(checkout: Checkout) -> None:
    checkout.run()
    checkout.steps()
    (checkout.venv / ".netctl-stamp").unlink()
    assert checkout.run()[0] == 0
    assert checkout.steps() == ["lock", "editable"]


def test_after_a_kill_in_the_middle_the_next_run_builds_anew(
    checkout: Checkout, hanging: subprocess.Popen[str]
) -> None:
    os.killpg(hanging.pid, signal.SIGKILL)
    hanging.wait()
    checkout.steps()
    assert checkout.run()[0] == 0
    assert checkout.steps() == ALL
    assert checkout.run()[0] == 0
    assert checkout.steps() == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_in_the_middle_is_one_line_ends_all_it_started_and_blames_nobody(
    checkout: Checkout, hanging: subprocess.Popen[str], number: int, code: int
) -> None:
    os.killpg(hanging.pid, number)
    _, err = hanging.communicate(timeout=10)  # that pip's own child has closed it, too
    assert hanging.returncode == code
    assert err.splitlines()[-1] == "netctl: interrupted"
    assert "pip could not" not in err
    checkout.steps()
    assert checkout.run()[0] == 0
    assert checkout.steps() == ALL


def test_two_runs_at_once_build_it_once(checkout: Checkout) -> None:
    both = [checkout.start("--", "netctl", "x") for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "netctl x\n"), err
    assert checkout.steps() == ALL


def test_a_run_beside_a_slow_one_says_that_it_waits(checkout: Checkout, hanging: subprocess.Popen[str]) -> None:
    waiting = checkout.start()
    assert waiting.stderr is not None
    assert waiting.stderr.readline() == f"waiting for another setup of {checkout.venv}\n"
    os.killpg(hanging.pid, signal.SIGKILL)
    assert waiting.wait(timeout=60) == 0
    waiting.communicate()


def test_a_moved_checkout_is_built_anew_because_its_scripts_name_the_old_place(checkout: Checkout) -> None:
    checkout.run()
    checkout.steps()
    moved = checkout.folder.with_name("moved")
    checkout.folder.rename(moved)
    checkout.folder, checkout.venv, checkout.log = moved, moved / ".venv", moved / "log"
    checkout.variables.update(NETCTL_PYTHON=str(moved / "stand-in"), STAND_IN_LOG=str(moved / "log"))
    assert checkout.run()[0] == 0
    assert checkout.steps() == ALL


def test_a_folder_that_is_no_environment_is_never_emptied(checkout: Checkout) -> None:
    precious = checkout.folder / "precious"
    precious.mkdir()
    (precious / "data").write_text("x")
    code, _, err = checkout.run(NETCTL_VENV=str(precious))
    assert code == 2
    assert err == (
        f"netctl: {precious} holds something else than a virtual environment\n  hint: set NETCTL_VENV to a new folder\n"
    )
    assert (precious / "data").read_text() == "x"


def test_netctl_venv_chooses_the_place(checkout: Checkout) -> None:
    other = checkout.folder / "a" / "b"
    assert checkout.run(NETCTL_VENV=str(other))[0] == 0
    assert (other / "bin" / "netctl").exists()
    assert not checkout.venv.exists()


def test_without_ensurepip_pip_comes_from_the_package_index(checkout: Checkout) -> None:
    assert checkout.run(STAND_IN_WITHOUT_ENSUREPIP="1")[0] == 0
    assert checkout.steps() == ["venv", "get_pip", "lock", "editable"]


def test_without_ensurepip_and_index_it_says_what_to_install(checkout: Checkout) -> None:
    code, _, err = checkout.run(STAND_IN_WITHOUT_ENSUREPIP="1", STAND_IN_WITHOUT_INDEX="1")
    assert code == 3
    assert err.splitlines()[-1] == "  hint: Debian, as root: apt-get install python3-venv"


def test_an_index_that_cannot_be_reached_is_named_and_the_next_run_goes_on(checkout: Checkout) -> None:
    code, _, err = checkout.run(STAND_IN_WITHOUT_INDEX="1")
    assert code == 3
    assert "netctl: pip could not do: pip install --require-hashes -r" in err
    assert "no such host" in err
    assert checkout.run()[0] == 0


def test_a_python_that_is_too_old_is_named(checkout: Checkout) -> None:
    code, _, err = checkout.run(STAND_IN_TOO_OLD="1")
    assert code == 3
    assert "no Python 3.11 or newer found" in err


@pytest.mark.parametrize("code", [0, 3])
def test_with_parts_the_command_runs_after_they_are_built_or_not_at_all(checkout: Checkout, code: int) -> None:
    parts = checkout.folder / "tools" / "parts.sh"
    parts.write_text(f'#!/bin/sh\necho "parts with $VIRTUAL_ENV"\nexit {code}\n')
    parts.chmod(0o755)
    done, out, err = checkout.run("--parts", "--", "echo", "ran")
    assert (done, out) == (code, "" if code else "ran\n")
    assert f"parts with {checkout.folder}/.venv\n" in err


def test_an_unknown_option_is_a_usage_error(checkout: Checkout) -> None:
    assert checkout.run("--fast")[0] == 2


@pytest.mark.root
def test_an_unprivileged_user_of_a_read_only_checkout_gets_an_environment_in_the_cache(checkout: Checkout) -> None:
    home = checkout.folder / "home"
    home.mkdir()
    os.chown(home, 12345, 12345)
    for folder in (checkout.folder, *list(checkout.folder.parents)[:3]):
        if folder != Path("/tmp"):
            folder.chmod(0o755)
    log = home / "log"
    drop = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
    done = subprocess.run(
        [*drop, str(checkout.folder / "tools" / "setup.sh"), "--", "netctl", "try"],
        env={**checkout.variables, "STAND_IN_LOG": str(log)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "netctl try\n"), done.stderr
    assert not checkout.venv.exists()
    assert list((home / ".cache" / "netctl").glob("venv-*/bin/netctl"))
