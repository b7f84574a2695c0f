"""Linux namespaces from Python 3.11 (``os.unshare`` and ``os.setns`` came later), and the program that enters a lab.

``python -I -S namespaces.py STATE NODE -- COMMAND`` runs a command inside a lab. It is started as a file and imports
only the standard library, because every ``lab exec`` waits for it. Sources: namespaces(7), setns(2), mount(2),
prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

NEWNS = 0x0002_0000
NEWUTS = 0x0400_0000
NEWIPC = 0x0800_0000
NEWUSER = 0x1000_0000
NEWPID = 0x2000_0000
NEWNET = 0x4000_0000

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_PR_SET_PDEATHSIG = 1

NETNS_DIR = Path("/run/netns")
"""Inside a lab: one bind mount per node, as ``ip netns`` keeps them."""
SOCKET_DIRS = (Path("/run/bird"), Path("/run/frr"))
"""Where ``birdc`` and ``vtysh`` look for their daemons."""
EXIT_LACK = 3
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """Raises OSError."""
    _check(_libc.unshare(flags), f"unshare({flags:#x})")


def setns(descriptor: int, kind: int = 0) -> None:
    """Raises OSError. A PID namespace takes effect for children only."""
    _check(_libc.setns(descriptor, kind), f"setns({kind:#x})")


def mount(source: str | None, target: str, kind: str | None, flags: int = 0, options: str | None = None) -> None:
    """Raises OSError naming the target."""
    arguments = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    data = None if options is None else options.encode()
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), data), f"mount {target}")


def unshare_all(*, user: bool) -> None:
    """New mount, network, PID, UTS and IPC namespaces; with ``user`` as the owner of a new user namespace.

    In that one the caller is uid 0 and no other uid exists (user_namespaces(7): a process without privileges in the
    parent namespace may map only itself).
    """
    uid, gid = os.geteuid(), os.getegid()
    unshare(NEWNS | NEWNET | NEWPID | NEWUTS | NEWIPC | (NEWUSER if user else 0))
    if user:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1", encoding="ascii")


def read_init(state_dir: Path) -> tuple[int, int] | None:
    """The lab's init as (pid, start time as in field 22 of /proc/PID/stat); None when the file is not there."""
    try:
        pid, started = (state_dir / "init.pid").read_text(encoding="ascii").split()
        return int(pid), int(started)
    except (OSError, ValueError):
        return None


def started(folder: int | str) -> int | None:
    """Start time of the process whose /proc folder this is (a path or a descriptor); None: gone or a zombie."""
    try:
        if isinstance(folder, int):
            descriptor = os.open("stat", os.O_RDONLY, dir_fd=folder)
        else:
            descriptor = os.open(f"{folder}/stat", os.O_RDONLY)
    except OSError:
        return None
    try:
        fields = os.read(descriptor, 4096).rpartition(b")")[2].split()
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def enter_lab(state_dir: Path, node: str | None) -> None:
    """Move this process into a lab's namespaces and a node's network namespace.

    Raises ProcessLookupError when the lab's init is gone, FileNotFoundError when there is no such node. The start time
    is compared through the same descriptor that the namespaces are opened through: it cannot be another process.
    """
    init = read_init(state_dir)
    if init is None:
        raise ProcessLookupError("the lab is not up")
    try:
        folder = os.open(f"/proc/{init[0]}", os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        raise ProcessLookupError("the lab's init is gone") from None
    if started(folder) != init[1]:
        raise ProcessLookupError("the lab's init is gone")
    kinds = [("user", NEWUSER), ("pid", NEWPID), ("uts", NEWUTS), ("ipc", NEWIPC), ("net", NEWNET), ("mnt", NEWNS)]
    try:
        opened = [(os.open(f"ns/{name}", os.O_RDONLY, dir_fd=folder), name, kind) for name, kind in kinds]
    except FileNotFoundError:
        raise ProcessLookupError("the lab's init is gone") from None
    try:
        where = Path.cwd()
    except FileNotFoundError:  # it was removed under our feet
        where = Path("/")
    for descriptor, name, kind in opened:
        if name != "user" or os.fstat(descriptor).st_ino != Path("/proc/self/ns/user").stat().st_ino:
            setns(descriptor, kind)
        os.close(descriptor)
    os.close(folder)
    try:
        os.chdir(where)
    except OSError:  # not there, or not for this user, in the lab
        os.chdir("/")
    if node is not None:
        enter_node(node)
        take_identity(state_dir, node)


def enter_node(node: str) -> None:
    """Change the network namespace, inside a lab. Raises FileNotFoundError."""
    descriptor = os.open(NETNS_DIR / node, os.O_RDONLY)
    setns(descriptor, NEWNET)
    os.close(descriptor)


def take_identity(state_dir: Path, node: str) -> None:
    """In namespaces of this process's own: the node's hostname and name server, and its sockets where their clients
    look for them.

    Raises OSError.
    """
    unshare(NEWNS | NEWUTS)
    name = node.encode()
    _check(_libc.sethostname(name, ctypes.c_size_t(len(name))), f"sethostname {node}")
    for folder in SOCKET_DIRS:
        if folder.is_dir():  # not in a lab that another version of netctl has built
            mount(f"/run/netctl/{node}", str(folder), None, MS_BIND)
    resolv = resolv_file(state_dir, node)
    if resolv.exists() and Path("/etc/resolv.conf").exists():
        mount(str(resolv), "/etc/resolv.conf", None, MS_BIND)


def resolv_file(state_dir: Path, node: str) -> Path:
    """The /etc/resolv.conf of a node that has one of its own."""
    return state_dir / "etc" / "resolv" / node


def as_node(state_dir: Path, node: str) -> list[str]:
    """In front of a command line, inside the lab and in the node's network namespace: with the node's identity."""
    return [sys.executable, "-I", "-S", __file__, str(state_dir), node, "identity"]


def _environment() -> dict[str, str]:
    """For a person's command: daemons' clients are found, and no proxy is asked that no node can reach."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    folders = kept.get("PATH", os.defpath).split(":")
    kept["PATH"] = ":".join([*folders, *(folder for folder in ("/usr/sbin", "/sbin") if folder not in folders)])
    return kept


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def _run_child(argv: list[str]) -> int:
    """Run a command in the PID namespace just entered (it takes a fork), pass on signals, return its exit code.

    Signals that come from the terminal reach the command by themselves (same process group): only those that a
    process sent (si_code <= 0) are passed on.
    """
    watched = {signal.SIGCHLD, *_FORWARDED}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    alive, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        die_with_parent()
        os.set_blocking(alive, False)
        try:
            if os.read(alive, 1) == b"":
                os._exit(1)  # the parent died before the kernel was told
        except BlockingIOError:
            pass
        signal.pthread_sigmask(signal.SIG_UNBLOCK, watched)
        try:
            os.execvpe(argv[0], argv, _environment())  # noqa: S606
        except OSError as error:
            sys.stderr.write(f"netctl: cannot run {argv[0]}: {error.strerror}\n")
            sys.stderr.flush()
            os._exit(127 if isinstance(error, FileNotFoundError) else 126)
    os.close(alive)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        info = signal.sigwaitinfo(watched)
        if info.si_signo != signal.SIGCHLD and info.si_code <= 0:
            os.kill(child, info.si_signo)


def main(argv: list[str]) -> int:
    """``STATE NODE -- COMMAND…``; NODE ``-`` is the lab's own network namespace. ``identity`` instead of ``--``: from a
    process that is there already; it becomes the command."""
    state_dir, node, command = Path(argv[0]), argv[1], argv[3:]
    if argv[2] == "identity":
        take_identity(state_dir, node)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the command would inherit that
        os.execvp(command[0], command)  # noqa: S606
    try:
        enter_lab(state_dir, None if node == "-" else node)
    except ProcessLookupError as error:
        sys.stderr.write(f"netctl: {error}\n  hint: netctl lab up\n")
        return EXIT_LACK
    except FileNotFoundError:
        sys.stderr.write(f"netctl: the lab has no node {node}\n  hint: netctl lab status lists them\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"netctl: cannot enter the lab: {error.filename}: {error.strerror}\n")
        return EXIT_LACK
    return _run_child(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
