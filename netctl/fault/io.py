"""Do faults, verify them, take them back, verify that."""

from __future__ import annotations

import errno
import signal
import socket
import time
from contextlib import closing
from pathlib import Path

from netctl.fault import qdisc
from netctl.fault.faults import (
    Before,
    BgpReset,
    Fault,
    LinkCut,
    LinkEnd,
    LinksBefore,
    ProcessHold,
    ProcessKill,
    Qdisc,
    RegistryBefore,
    RegistryWipe,
)
from netctl.fault.held import io as held
from netctl.fault.registry import io as registry
from netctl.ipc.frames import FrameReader, encode
from netctl.ipc.messages import Hello, Reply, Request
from netctl.model.errors import EnvironmentLackError, PeerError
from netctl.model.io import RealProcesses, process_started
from netctl.model.netns.io import Rtnetlink, namespace_path, network_namespace
from netctl.model.netns.netlink import NLM_F_ACK, NLM_F_DUMP
from netctl.model.ports import ProcessId

_GONE = (errno.ENODEV, errno.ENOENT, errno.ESRCH)
_NAMESPACES = Path("/run/netns")
_VERIFY_WITHIN_S = 2.0


def capture(fault: Fault, identifier: str) -> Before:
    """What is there before ``fault``. Raises NetctlError when it cannot be put back or is not there.

    ``identifier``: of the drill.
    """
    match fault:
        case LinkCut():
            return LinksBefore(tuple(_capture_end(end) for end in fault.ends))
        case RegistryWipe():
            return registry.capture(fault)
        case ProcessHold():
            held.check_free(fault, identifier)
    return None


def inject(fault: Fault, identifier: str, before: Before) -> None:
    """Let it happen, and see that it has. Raises NetctlError or OSError."""
    match fault:
        case LinkCut():
            _cut(fault)
        case ProcessKill():
            _kill(fault)
        case BgpReset():
            _reset(fault)
        case ProcessHold():
            held.hold(fault, identifier)
            who = f"{fault.name} on {fault.node}"
            _kill(ProcessKill(who, fault.pid, fault.started, "KILL"))
        case RegistryWipe():
            assert isinstance(before, RegistryBefore)
            registry.wipe(fault, before)


def undo(fault: Fault, before: Before, identifier: str) -> list[str]:
    """Take it back as far as it is there; what could not be, in words (empty: nothing of it is left)."""
    match fault:
        case LinkCut():
            return _mend(fault, before)
        case ProcessKill():
            return _continue(ProcessId(fault.pid, fault.started), fault.name)
        case BgpReset():
            return []
        case ProcessHold():
            return held.release(fault, identifier)
        case RegistryWipe():
            return registry.put_back(fault, before) if isinstance(before, RegistryBefore) else []


def _mend(fault: LinkCut, before: Before) -> list[str]:
    known = before.qdiscs if isinstance(before, LinksBefore) else (Qdisc("noqueue", 0, None),) * len(fault.ends)
    problems = []
    for end, qdisc_before in zip(fault.ends, known, strict=True):
        try:
            _mend_end(end, qdisc_before)
        except (OSError, EnvironmentLackError) as error:
            problems.append(f"{end}: {error}")
    return problems


def sweep() -> list[str]:
    """Remove every qdisc that carries our mark in any node: for a journal that cannot be read. What was removed."""
    removed = []
    for path in sorted(_NAMESPACES.iterdir()) if _NAMESPACES.is_dir() else []:
        with closing(Rtnetlink(str(path))) as link:
            with network_namespace(str(path)):
                names = dict(socket.if_nameindex())
            for index, root in qdisc.roots(link.request(qdisc.RTM_GETQDISC, NLM_F_DUMP, qdisc.query())).items():
                if qdisc.is_ours(root):
                    link.request(qdisc.RTM_DELQDISC, NLM_F_ACK, qdisc.removal(index))
                    removed.append(f"{path.name}:{names.get(index, index)}")
    return removed


def continue_stopped() -> list[str]:
    """Continue every stopped process of this PID namespace, likewise. Which."""
    continued = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and _process_state(int(folder.name)) == "T":
            started = process_started(int(folder.name)) or 0
            RealProcesses().signal(ProcessId(int(folder.name), started), signal.SIGCONT)
            continued.append(f"pid {folder.name}")
    return continued


# --- links ---------------------------------------------------------------------------------------------------------


def _index(end: LinkEnd) -> int | None:
    """The interface's index, None when it or its namespace is gone."""
    try:
        with network_namespace(end.netns):
            return socket.if_nametoindex(end.interface)
    except OSError:
        return None


def _capture_end(end: LinkEnd) -> Qdisc:
    index = _index(end)
    if index is None:
        raise EnvironmentLackError(f"there is no interface {end}", "netctl lab status")
    with closing(Rtnetlink(end.netns)) as link:
        return qdisc.restorable(link.request(qdisc.RTM_GETQDISC, NLM_F_DUMP, qdisc.query()), index, str(end))


def _cut(fault: LinkCut) -> None:
    """Sockets first, so that all ends are cut within a fraction of a millisecond."""
    links: list[tuple[LinkEnd, Rtnetlink, int]] = []
    try:
        for end in fault.ends:
            index = _index(end)
            if index is None:
                raise EnvironmentLackError(f"there is no interface {end}", "netctl lab status")
            links.append((end, Rtnetlink(end.netns), index))
        for _end, link, index in links:
            link.request(qdisc.RTM_NEWQDISC, qdisc.CREATE_FLAGS, qdisc.blackhole(index))
        for end, link, index in links:
            root = qdisc.roots(link.request(qdisc.RTM_GETQDISC, NLM_F_DUMP, qdisc.query())).get(index)
            if not qdisc.is_ours(root):
                raise OSError(errno.EIO, f"{end} is not cut")
    finally:
        for opened in links:
            opened[1].close()


def _mend_end(end: LinkEnd, before: Qdisc) -> None:
    """In one request: whoever is killed here leaves the cut or what was there before it, and nothing between, which
    nobody would mend."""
    index = _index(end)
    if index is None:
        return
    with closing(Rtnetlink(end.netns)) as link:

        def root() -> Qdisc | None:
            return qdisc.roots(link.request(qdisc.RTM_GETQDISC, NLM_F_DUMP, qdisc.query())).get(index)

        if not qdisc.is_ours(root()):
            return
        try:
            if before.handle:
                link.request(qdisc.RTM_NEWQDISC, qdisc.CREATE_FLAGS, qdisc.recreation(index, before))
            else:
                link.request(qdisc.RTM_DELQDISC, NLM_F_ACK, qdisc.removal(index))
        except OSError as error:
            if error.errno not in _GONE:
                raise
        if qdisc.is_ours(root()):
            raise OSError(errno.EIO, "is still cut")


# --- processes -----------------------------------------------------------------------------------------------------


def _process_state(pid: int) -> str | None:
    """R, S, T, Z, … (proc(5)), None when gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return None


def _kill(fault: ProcessKill) -> None:
    number = signal.SIGKILL if fault.signal == "KILL" else signal.SIGSTOP
    process = ProcessId(fault.pid, fault.started)
    if not RealProcesses().signal(process, number):
        raise EnvironmentLackError(f"{fault.name} (pid {fault.pid}) is gone already", "netctl lab status")
    deadline = time.monotonic() + _VERIFY_WITHIN_S
    while True:
        gone = process_started(fault.pid) != fault.started
        if gone if fault.signal == "KILL" else _process_state(fault.pid) == "T":
            return
        if time.monotonic() > deadline:
            raise OSError(errno.ETIMEDOUT, f"{fault.name} (pid {fault.pid}) does not heed {fault.signal}")
        time.sleep(0.001)


def _continue(process: ProcessId, name: str) -> list[str]:
    RealProcesses().signal(process, signal.SIGCONT)
    deadline = time.monotonic() + _VERIFY_WITHIN_S
    while process_started(process.pid) == process.started and _process_state(process.pid) == "T":
        if time.monotonic() > deadline:
            return [f"{name} (pid {process.pid}) is still stopped"]
        time.sleep(0.001)
    return []


# --- agents --------------------------------------------------------------------------------------------------------


def _reset(fault: BgpReset) -> None:
    reply = ask(fault.socket, Request(verb="reset", argument=fault.peer))
    if reply.error:
        raise EnvironmentLackError(f"{fault.gateway}: {reply.error}", reply.hint)


def ask(path: str, request: Request, timeout_s: float = 5.0) -> Reply:
    """One question to an agent. Raises EnvironmentLackError when it does not answer properly."""
    lack = f"no agent answers at {path}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
            stream.settimeout(timeout_s)
            stream.connect(path)
            stream.sendall(encode(Hello(program="cli", name="fault", pid=0)) + encode(request))
            reader = FrameReader()
            while data := stream.recv(1 << 16):
                for message in reader.feed(data):
                    if isinstance(message, Reply):
                        return message
    except (OSError, PeerError) as error:
        raise EnvironmentLackError(f"{lack}: {error}", "netctl lab status") from None
    raise EnvironmentLackError(f"{lack}: it closed the connection", "netctl lab status")


__all__ = ["ask", "capture", "continue_stopped", "inject", "namespace_path", "sweep", "undo"]
