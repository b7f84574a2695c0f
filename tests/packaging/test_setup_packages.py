"""``tools/setup.sh --system``: Debian packages, without starting a service and without leaving a trace when cut.

The script runs as it is, in a mount namespace of its own in which /usr/sbin is a copy-on-write layer without BIRD and
apt-get is a stand-in; nothing of it reaches this machine.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.root

APT_GET = r"""#!/bin/bash
echo "apt-get $*" >>"$LOG"
case "$*" in
    *" update") touch "$STATE/lists" ;;
    *" install "*)
        /usr/sbin/policy-rc.d ssh start; echo "policy $?" >>"$LOG"
        if [ -n "$APT_HANGS" ]; then sleep 300; fi
        if [ -n "$APT_FAILS" ]; then echo "E: no network" >&2; exit 100; fi
        mv "$STATE/bird" /usr/sbin/bird ;;
esac
"""
APT_CACHE = """#!/bin/bash
[ -e "$STATE/lists" ] && echo "Package: $3"
"""

# Everything between is undone by the end of the namespace.
NAMESPACE = r"""
set -e
mount -t tmpfs tmpfs "$STATE"
mkdir "$STATE/upper" "$STATE/work"
mount -t overlay overlay -o "lowerdir=/usr/sbin,upperdir=$STATE/upper,workdir=$STATE/work" /usr/sbin
mv /usr/sbin/bird "$STATE/bird"
exec bash -c "$1"
"""
SHOW_POLICY = (
    "if [ -e /usr/sbin/policy-rc.d ]; then cat /usr/sbin/policy-rc.d; else echo none; fi; "
    "ls /usr/sbin | grep -c policy-rc || true"
)
OWN_POLICY = "printf '#!/bin/sh\\nexit 0\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d"
# As a terminal or an init does it: the whole group gets the signal. (bash -m gives the set-up a group of its own.)
IN_THE_MIDDLE = (
    'set -m; APT_HANGS=1 "$SETUP" --system & group=$!; '
    'for ((i = 0; i < 1000; i++)); do grep -q policy "$LOG" 2>/dev/null && break; sleep 0.02; done; '
    "kill -{number} -- -$group; wait $group"
)


class System:
    """A machine on which BIRD is missing."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.log = folder / "log"
        self.setup = folder / "checkout" / "tools" / "setup.sh"
        for path in (self.state, folder / "bin", self.setup.parent):
            path.mkdir(parents=True)
        for name, text in (("apt-get", APT_GET), ("apt-cache", APT_CACHE)):
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        shutil.copy(ROOT / "tools" / "setup.sh", self.setup)
        (folder / "checkout" / "requirements.lock").write_text("")
        (folder / "checkout" / "pyproject.toml").write_text("")
        # The environment is somebody else's test: this one ends where it would begin.
        self.variables = {
            "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(folder),
            "NETCTL_PYTHON": "/bin/false",
            "LOG": str(self.log),
            "STATE": str(self.state),
            "SETUP": str(self.setup),
        }

    def start(self, script: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["unshare", "-m", "bash", "-c", NAMESPACE, "bash", script],
            env={**self.variables, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, script: str, **variables: str) -> tuple[str, str]:
        process = self.start(script, **variables)
        try:
            return process.communicate(timeout=60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    def calls(self) -> list[str]:
        """What apt-get was asked, and what policy-rc.d said meanwhile."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def system(tmp_path: Path) -> System:
    """A machine on which BIRD is missing."""
    if not Path("/usr/sbin/bird").exists():
        pytest.fail("this test hides BIRD, which is not installed: run tools/setup.sh --system")
    return System(tmp_path)


INSTALL = "apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 install -y --no-install-recommends bird2"
UPDATE = "apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 update"
# Without a Python the set-up ends with 3 after the packages.
AND_NO_PYTHON = "no Python 3.11 or newer found"


def test_only_what_is_missing_is_named_and_installed_while_no_service_may_start(system: System) -> None:
    out, err = system.run(f'"$SETUP" --system; {SHOW_POLICY}')
    assert "installing Debian packages that are missing: bird2 (none of their services is started)" in err
    assert system.calls() == [UPDATE, INSTALL, "policy 101"]
    assert AND_NO_PYTHON in err
    assert out == "none\n0\n"


def test_what_only_the_naming_half_uses_is_asked_for_too(system: System) -> None:
    _, err = system.run('rm -f /usr/sbin/haproxy; NETCTL_NO_APT=1 "$SETUP" --system')
    assert "these packages are missing, and NETCTL_NO_APT forbids installing them: bird2 haproxy\n" in err
    assert system.calls() == []


def test_lists_that_are_there_are_not_fetched_again(system: System) -> None:
    system.run('touch "$STATE/lists"; "$SETUP" --system')
    assert system.calls() == [INSTALL, "policy 101"]


def test_a_policy_that_was_there_is_there_again_afterwards(system: System) -> None:
    out, _ = system.run(f'{OWN_POLICY}; "$SETUP" --system; {SHOW_POLICY}')
    assert "policy 101" in system.calls()
    assert out == "#!/bin/sh\nexit 0\n1\n"


def test_a_failed_installation_tries_fresh_lists_then_says_so_and_restores_the_policy(system: System) -> None:
    out, err = system.run(f'touch "$STATE/lists"; "$SETUP" --system; echo "code $?"; {SHOW_POLICY}', APT_FAILS="1")
    assert system.calls() == [INSTALL, "policy 101", UPDATE, INSTALL, "policy 101"]
    assert "netctl: apt-get could not install bird2" in err
    assert "hint: mend that, or as root: apt-get install --no-install-recommends bird2" in err
    assert out == "code 3\nnone\n0\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_in_the_middle_restores_the_policy(system: System, number: signal.Signals) -> None:
    out, _ = system.run(f"{IN_THE_MIDDLE.format(number=int(number))}; {SHOW_POLICY}")
    assert system.calls()[-1] == "policy 101"
    assert out == "none\n0\n"


def test_after_kill_9_in_the_middle_the_next_run_restores_the_policy_that_was_there(system: System) -> None:
    script = (
        f"{OWN_POLICY}; {IN_THE_MIDDLE.format(number=9)}; "
        'grep -q 101 /usr/sbin/policy-rc.d && echo "left behind"; '
        f'mv "$STATE/bird" /usr/sbin; "$SETUP" --system; {SHOW_POLICY}'
    )
    out, _ = system.run(script)
    assert out == "left behind\n#!/bin/sh\nexit 0\n1\n"


def test_netctl_no_apt_names_what_is_missing_and_how_to_get_it(system: System) -> None:
    out, err = system.run('"$SETUP" --system; echo "code $?"', NETCTL_NO_APT="1")
    assert err == (
        "netctl: these packages are missing, and NETCTL_NO_APT forbids installing them: bird2\n"
        "  hint: as root: apt-get install --no-install-recommends bird2\n"
    )
    assert out == "code 3\n"
    assert system.calls() == []


def test_without_root_nothing_is_installed_and_the_command_is_named(system: System) -> None:
    for folder in (system.setup.parent, *list(system.setup.parents)[:5]):
        if folder not in {Path("/tmp"), Path("/")}:
            folder.chmod(0o755)
    drop = "setpriv --reuid 12345 --regid 12345 --clear-groups"
    out, err = system.run(f'{drop} "$SETUP" --system; echo "code $?"')
    assert "netctl: these packages are missing: bird2\n" in err
    assert out == "code 3\n"
    assert system.calls() == []


def test_where_nothing_is_missing_apt_is_not_asked_and_nothing_is_said(system: System) -> None:
    start = time.monotonic()
    _, err = system.run('mv "$STATE/bird" /usr/sbin; "$SETUP" --system')
    assert time.monotonic() - start < 1
    assert system.calls() == []
    assert err.splitlines()[0].startswith(f"netctl: {AND_NO_PYTHON}")
