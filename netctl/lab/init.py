"""``python -m netctl.lab.init STATE LOCK_FD UP_FD``: process 1 of a lab. Its end is the end of everything in the lab.

Two stages. The first makes the namespaces, forks, and writes the child's pid where ``lab down`` looks for it. The
second, process 1 of the new PID namespace, builds the network, then keeps the programs running and reaps orphans.
LOCK_FD is the locked lock file: as long as this process lives, the lab counts as being there. UP_FD is one end of a
socket pair with ``lab up``: progress goes out as lines of JSON; its end before the word ``stay`` ends this process.
A plan.json that was replaced meanwhile (SIGHUP, or within two seconds) brings more programs: the lab grows.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import msgspec

from netctl.lab import build, namespaces
from netctl.lab.overdue import overdue, stale_holds
from netctl.lab.paths import held_file
from netctl.lab.plan import LabPlan, ProcessPlan, read_plan
from netctl.lab.supervisor import Supervisor

MAX_LOG_BYTES = 16 * 1024 * 1024
"""A program's log that grew beyond this is emptied: labs may stay up for weeks."""
_HOUSEKEEPING_S = 2.0
_UNDO_WITHIN_S = 60.0


def main(argv: list[str]) -> int:
    state_dir, lock_fd, up = Path(argv[0]), int(argv[1]), socket.socket(fileno=int(argv[2]))
    for descriptor in (lock_fd, up.fileno()):
        os.set_inheritable(descriptor, False)
    plan = read_plan(state_dir)
    if plan is None:
        _tell(up, error=f"{state_dir}/plan.json cannot be read", hint="netctl lab down, then up again")
        return 3
    try:
        namespaces.unshare_all(user=plan.user_namespace)
    except OSError as error:
        message, hint = refusal(error, plan.user_namespace)
        _tell(up, error=message, hint=hint, refused="yes")
        return 3
    pid = os.fork()
    if pid == 0:
        _second_stage(plan, up)
    fresh = state_dir / ".init.pid.new"
    fresh.write_text(f"{pid} {namespaces.started(f'/proc/{pid}') or 0}\n", encoding="ascii")
    fresh.rename(state_dir / "init.pid")
    return 0


def refusal(error: OSError, user: bool) -> tuple[str, str]:
    """Message and hint for namespaces that the machine refuses, naming the setting that does it."""
    settings = {  # value that refuses, value that allows
        "kernel/unprivileged_userns_clone": ("0", "1"),
        "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
        "user/max_user_namespaces": ("0", "10000"),
    }
    for name, (refusing, allowing) in settings.items() if user else ():
        path = Path("/proc/sys", name)
        if path.exists() and path.read_text(encoding="ascii").strip() == refusing:
            setting = name.replace("/", ".")
            return (
                f"this machine refuses user namespaces: {setting} is {refusing}",
                f"as root: sysctl -w {setting}={allowing}, or run the lab as root",
            )
    what = "user namespaces" if user else "namespaces"
    return (
        f"this machine refuses {what}: {error.filename}: {error.strerror}",
        "a container needs CAP_SYS_ADMIN and a seccomp profile that allows unshare and mount, or use a virtual machine",
    )


def _tell(up: socket.socket, **what: str) -> None:
    with suppress(OSError):  # lab up is gone; the next look at the socket ends us
        up.sendall(json.dumps(what).encode() + b"\n")


def _note(line: str) -> None:
    """Into init.log, if there is room."""
    with suppress(OSError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def _version(path: Path) -> tuple[int, int]:
    """Differs when the file was replaced; (0, 0): it is not there."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def _second_stage(plan: LabPlan, up: socket.socket) -> NoReturn:
    os.setsid()
    os.chdir("/")
    try:
        Init(plan, up).run()
    except OSError as error:
        traceback.print_exc()
        _tell(up, error=f"the lab cannot be built: {error.filename or ''} {error.strerror or error}".strip(), hint="")
    except Exception as error:
        traceback.print_exc()
        _tell(up, error=f"the lab cannot be built: {error}", hint=f"see {plan.state_dir}/log/init.log")
    finally:
        os._exit(1)


class Init:
    """Process 1: see the top of this file."""

    def __init__(self, plan: LabPlan, up: socket.socket) -> None:
        self._plan = plan
        self._state_dir = Path(plan.state_dir)
        self._up: socket.socket | None = up
        self._home = -1
        self._records = b""
        self._undoers: dict[int, tuple[Path, float]] = {}
        """Who takes back an overdue fault now: pid → journal, since when."""
        self._plan_seen = _version(plan.path)

    def run(self) -> None:
        """Never returns: exits when told to, or when ``lab up`` ends before it said ``stay``."""
        assert self._up is not None
        self._up.setblocking(False)
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for awaited in (signal.SIGCHLD, signal.SIGHUP):
            signal.signal(awaited, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        os.environ["XDG_STATE_HOME"] = (
            f"{self._state_dir}/log"  # what a program writes when it breaks goes with the lab
        )
        for ignored in (signal.SIGINT, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)
        while namespaces.read_init(self._state_dir) is None:  # the first stage is about to write it
            self._still_wanted()
            time.sleep(0.002)
        try:
            build.mount_private(self._state_dir, hide_frr=bool(self._plan.owners))
        except PermissionError as error:
            message, hint = refusal(error, self._plan.user_namespace)
            _tell(self._up, error=message, hint=hint, refused="yes")
            os._exit(1)
        for path, owner in self._plan.owners:
            shutil.chown(path, *owner.split(":"))
        self._say("network")
        build.build_network(self._plan.topology, self._still_wanted)
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._say("programs")
        self._supervise(wake_read)

    def _say(self, step: str) -> None:
        if self._up is not None:
            _tell(self._up, step=step)

    def _still_wanted(self) -> None:
        """End everything when ``lab up`` has ended before the lab was ready."""
        if self._up is None:
            return
        try:
            word = self._up.recv(64)
        except BlockingIOError:
            return
        except OSError:
            word = b""
        if not word.startswith(b"stay"):
            os._exit(0)
        self._up.close()
        self._up = None

    def _supervise(self, wake_read: int) -> NoReturn:
        shutil.rmtree(self._state_dir / "run" / "held", ignore_errors=True)  # of a lab before this one
        supervisor = Supervisor(self._plan.processes, os.path.exists, time.monotonic(), self._held)
        selector = selectors.DefaultSelector()
        selector.register(wake_read, selectors.EVENT_READ)
        if self._up is not None:
            selector.register(self._up, selectors.EVENT_READ)
        looked_at = 0.0
        while True:
            for plan in supervisor.due(time.monotonic()):
                self._start(supervisor, plan)
            self._publish(supervisor)
            pause = supervisor.next_look(time.monotonic())
            for key, _ in selector.select(_HOUSEKEEPING_S if pause is None else min(pause, _HOUSEKEEPING_S)):
                if key.fd == wake_read:
                    os.read(wake_read, 4096)
                else:
                    listened = self._up
                    self._still_wanted()
                    if self._up is None and listened is not None:
                        selector.unregister(key.fileobj)
            self._reap(supervisor)
            self._grow(supervisor)
            if time.monotonic() - looked_at > _HOUSEKEEPING_S:
                looked_at = time.monotonic()
                self._trim_logs()
                self._end_overdue_faults()

    def _held(self, plan: ProcessPlan) -> bool:
        return held_file(self._state_dir / "run", plan.node, plan.name).exists()

    def _grow(self, supervisor: Supervisor) -> None:
        """Take over a plan that was replaced."""
        seen = _version(self._plan.path)
        if seen == self._plan_seen:
            return
        self._plan_seen = seen
        plan = read_plan(self._state_dir)
        if plan is not None:
            self._plan = plan
            supervisor.add(plan.processes, time.monotonic())

    def _start(self, supervisor: Supervisor, plan: ProcessPlan) -> None:
        log = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        argv = [*namespaces.as_node(self._state_dir, plan.node), *plan.argv] if plan.resolv else plan.argv
        try:
            namespaces.enter_node(plan.node)
            pid = os.posix_spawnp(
                argv[0],
                argv,
                {**os.environ, **plan.env},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
                setsid=True,
                setsigdef=[signal.SIGINT, signal.SIGHUP, signal.SIGPIPE],
            )
        except OSError as error:
            with suppress(OSError):
                os.write(log, f"netctl lab: cannot start {plan.argv[0]}: {error.strerror}\n".encode())
            supervisor.failed_to_start(plan, time.monotonic())
        else:
            supervisor.started(plan, pid, time.monotonic())
        finally:
            namespaces.setns(self._home, namespaces.NEWNET)
            os.close(log)

    def _reap(self, supervisor: Supervisor) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            self._undoers.pop(pid, None)
            plan = supervisor.exited(pid, code, time.monotonic())
            if plan is not None:
                how = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
                _note(f"{plan.node} {plan.name} {how}")

    def _publish(self, supervisor: Supervisor) -> None:
        data = msgspec.json.encode(supervisor.records())
        if data != self._records:
            fresh = self._state_dir / ".processes.json.new"
            with suppress(OSError):  # a full disk: the lab lives on, and the next round tries again
                fresh.write_bytes(data)
                fresh.rename(self._state_dir / "processes.json")
                self._records = data

    def _end_overdue_faults(self) -> None:
        """Every fault ends by itself: take back what its drill's guardian did not live to take back."""
        for hold in stale_holds(self._state_dir / "run"):
            _note(f"{hold}: its drill is over")
            hold.unlink(missing_ok=True)
        for journal in overdue(self._state_dir / "run" / "drills", time.monotonic_ns()):
            if journal in (known for known, _ in self._undoers.values()):
                continue
            _note(f"{journal.name}: nobody is left to take its fault back: doing it")
            undo = [sys.executable, "-m", "netctl.fault", str(journal), "--undo"]
            self._undoers[os.posix_spawn(sys.executable, undo, os.environ)] = journal, time.monotonic()
        for pid, (_, began) in self._undoers.items():
            if time.monotonic() - began > _UNDO_WITHIN_S:
                os.kill(pid, signal.SIGKILL)  # stopped too: the next look starts another

    def _trim_logs(self) -> None:
        children = self._state_dir.glob("run/*/log/*.log")  # of what the agents started
        for path in {Path(plan.log) for plan in self._plan.processes} | set(children):
            with suppress(OSError):
                if path.stat().st_size > MAX_LOG_BYTES:
                    os.truncate(path, 0)  # its writers append, so they go on at the new end


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
