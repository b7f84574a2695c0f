"""A lab without privileges. Root without CAP_SYS_ADMIN is in an ordinary user's place, and can read this checkout."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.conftest import Bench

UNPRIVILEGED = ["setpriv", "--bounding-set=-sys_admin"] if os.geteuid() == 0 else []


def unprivileged(bench: Bench, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UNPRIVILEGED, *words], env=bench.env, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_lab_comes_up_in_a_user_namespace_and_goes_without_a_trace(bench: Bench) -> None:
    done = unprivileged(bench, *bench.up_command())
    assert done.returncode == 0, done.stderr
    pids = list(bench.processes())
    assert (
        len({Path(f"/proc/{pid}/ns/user").stat().st_ino for pid in pids} - {Path("/proc/self/ns/user").stat().st_ino})
        == 1
    )
    inside = unprivileged(bench, *bench.command("exec", "b-vm1", "--", "id", "-u"))
    assert (inside.stdout, inside.returncode) == ("0\n", 0)
    named = unprivileged(bench, *bench.command("exec", "b-vm1", "--", "sh", "-c", "hostname; getent hosts a-vm1"))
    assert named.stdout.split() == ["b-vm1", "10.1.1.1", "a-vm1"], named.stderr
    assert unprivileged(bench, *bench.command("status")).returncode == 0
    assert unprivileged(bench, *bench.command("down")).returncode == 0
    bench.assert_nothing_left()


def test_frr_without_root_is_refused_with_the_reason(bench: Bench) -> None:
    done = unprivileged(bench, *bench.command("up", "--providers", "frr"))
    assert done.returncode == 3
    assert "FRR" in done.stderr
    assert not bench.state_dir.exists()


def test_refused_user_namespaces_are_one_line_that_names_the_setting(bench: Bench) -> None:
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    inside = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "x", "setpriv", "--bounding-set=-sys_admin"]
    done = subprocess.run([*inside, *bench.up_command()], env=bench.env, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "user.max_user_namespaces is 0" in done.stderr
    assert "sysctl -w user.max_user_namespaces=" in done.stderr
    assert "Traceback" not in done.stderr
    bench.assert_nothing_left()


def test_the_names_half_runs_without_root_too(bench: Bench) -> None:
    bench.add_pods()
    done = unprivileged(bench, *bench.up_command())
    assert done.returncode == 0, done.stderr
    shown = unprivileged(bench, *bench.command("status", "-o", "json"))
    processes = json.loads(shown.stdout)["processes"]
    assert {(p["node"], p["state"]) for p in processes} == {
        (node, "running") for node in ("a-vm1", "b-vm1", "a-pod1", "b-pod1")
    }
    assert unprivileged(bench, *bench.command("down")).returncode == 0
    bench.assert_nothing_left()
