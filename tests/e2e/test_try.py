"""``netctl try``: a drill without root, and nothing left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from netctl.lab import Lab, paths

pytestmark = pytest.mark.e2e
TRY = [sys.executable, "-m", "netctl.cli.main", "try"]
UNPRIVILEGED = ["setpriv", "--bounding-set=-sys_admin"] if os.geteuid() == 0 else []


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    assert try_labs() == set()


def try_labs() -> set[str]:
    return {name for name in paths.names() if name.startswith("try")}


def started(after: str) -> subprocess.Popen[str]:
    """A try that has come as far as the line with this word."""
    process = subprocess.Popen(
        [*UNPRIVILEGED, *TRY],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if after in line:
            return process
    pytest.fail(f"it ended before {after!r}")


def interrupt(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    process.communicate(timeout=60)
    assert process.returncode in {4, 130}


def test_without_root_a_provider_is_cut_and_every_flow_comes_back_in_time() -> None:
    began = time.monotonic()
    done = subprocess.run([*UNPRIVILEGED, *TRY], capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 120
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("a_to_b-", "b_to_a-"))]
    cut = [float(row[2]) for row in rows if row[1] == "pa"]
    assert {row[0][:6] for row in rows if row[1] == "pa"} == {"a_to_b", "b_to_a"}
    assert 0 < max(cut) <= 200


@pytest.mark.parametrize("after", ["programs", "cutting provider"])
def test_interrupted_at_any_time_it_takes_the_lab_down(after: str) -> None:
    interrupt(started(after))


def test_a_second_one_at_the_same_time_has_a_lab_of_its_own() -> None:
    first = started("programs")
    (lab,) = try_labs()
    second = started("programs")
    assert len(try_labs()) == 2
    interrupt(second)
    assert try_labs() == {lab}
    assert Lab.open(lab).init_pid
    interrupt(first)


def test_what_a_killed_one_has_left_is_taken_down_by_the_next() -> None:
    killed = started("cutting provider")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    (left,) = try_labs()
    following = started("programs")
    assert left not in try_labs()
    interrupt(following)


def test_where_namespaces_are_refused_the_simulator_plays_and_says_so() -> None:
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    inside = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "x", "setpriv", "--bounding-set=-sys_admin"]
    done = subprocess.run([*inside, *TRY], capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    assert "SIMULATED, not measured" in done.stdout
    assert "user.max_user_namespaces is 0" in done.stderr
