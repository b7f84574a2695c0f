"""The agent on a real machine: what must be there before it starts, its lock, its ports, its metrics over HTTP."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from netctl.agent.children import AGENT_SOCKET, LONGEST_SOCKET_PATH, children_of
from netctl.agent.children.shell import end_all
from netctl.agent.shell import AgentShell
from netctl.fib.io import NetlinkKernel, set_sysctls
from netctl.health.io import RealChecks
from netctl.ipc import io as ipc
from netctl.ipc.messages import Hello, Reply, Request
from netctl.liveness.shell import UdpNetwork
from netctl.model.errors import EnvironmentLackError, UsageError
from netctl.model.gateway import Gateway
from netctl.model.io import FileStore, RealProcesses, SystemClock
from netctl.model.ports import Kernel, Ports
from netctl.model.prefix import format_address, parse_address
from netctl.telemetry.http.io import metrics_server
from netctl.telemetry.io import configure_logging

_NET_ADMIN = 12
_TAIL_BYTES = 4096


def run_agent(gateway: Gateway, *, standalone: bool) -> None:
    """Check, lock, run until SIGTERM or SIGINT (children stay) or until ``stop`` is asked for.

    Raises EnvironmentLackError and UsageError naming what is missing or wrong.
    """
    check_environment(gateway, standalone=standalone)
    with locked(gateway):
        asyncio.run(_run(gateway, standalone))


async def _run(gateway: Gateway, standalone: bool) -> None:
    logger = configure_logging("agent", gateway.name)

    def log(level: str, event: str, **fields: object) -> None:
        getattr(logger, level)(event, **fields)

    kernel = NetlinkKernel()
    check_links(gateway, kernel)
    for change in set_sysctls([peer.interface for peer in gateway.peers], gateway.name):
        log("info", "kernel setting", change=change)
    checks = RealChecks()
    shell = AgentShell(
        gateway, _ports(gateway, kernel), checks, standalone, pid=os.getpid(), log=log, last_line=last_line
    )
    # A walk over all objects takes a second with big tables in memory, and they hold no cycles.
    gc.set_threshold(10_000, 50, 1_000_000)
    task = asyncio.ensure_future(shell.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    log("info", "started", standalone=standalone, peers=[peer.name for peer in gateway.peers])
    try:
        async with metrics_server(gateway.metrics_listen, shell.answers.metrics):
            await task
    except asyncio.CancelledError:
        log("info", "left", children="stay, with their sessions", routes="stay")
    finally:
        await checks.close()
        kernel.close()


def _ports(gateway: Gateway, kernel: Kernel) -> Ports:
    return Ports(
        SystemClock(), UdpNetwork(), ipc.UnixStreams(), kernel, FileStore(gateway.runtime_dir), RealProcesses()
    )


# --- before the start ------------------------------------------------------------------------------------------------


def check_environment(gateway: Gateway, *, standalone: bool) -> None:
    """Whatever can be known before anything is touched, one clear error for the first thing that is missing."""
    runtime = gateway.runtime_dir
    for path in [f"{runtime}/{AGENT_SOCKET}", *(child.socket for child in children_of(gateway))]:
        if len(os.fsencode(path + ".new")) > LONGEST_SOCKET_PATH:
            raise UsageError(
                f"{gateway.source or 'gateway file'}: runtime_dir {runtime} is too long: {path} has "
                f"{len(os.fsencode(path))} bytes, a unix socket's path may have {LONGEST_SOCKET_PATH - 4}",
                "choose a shorter runtime_dir",
            )
    if not has_capability(_NET_ADMIN):
        raise EnvironmentLackError(
            "the agent needs the capability NET_ADMIN to write routes", "run it as root, or from its systemd unit"
        )
    if standalone and find_spec("exabgp") is None:
        raise EnvironmentLackError("exabgp is not installed", "pip install 'netctl[agent]'")
    try:
        Path(runtime, "log").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentLackError(
            f"cannot make {error.filename}: {error.strerror}", "choose another runtime_dir"
        ) from None
    if not os.access(runtime, os.W_OK | os.X_OK):
        raise EnvironmentLackError(f"cannot write into {runtime}", f"see: ls -ld {runtime}")


def has_capability(number: int) -> bool:
    """Whether this process has the capability in effect (linux/capability.h)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


def check_links(gateway: Gateway, kernel: Kernel) -> None:
    """Each peer's interface must exist and carry its local address. Raises EnvironmentLackError."""
    links = kernel.links()
    for peer in gateway.peers:
        link = links.get(peer.interface)
        if link is None:
            raise EnvironmentLackError(
                f"peer {peer.name}: there is no interface {peer.interface}",
                f"interfaces here: {', '.join(sorted(links))}",
            )
        if parse_address(peer.local) not in link.addresses:
            has = ", ".join(format_address(a) for a in link.addresses if len(a) == 4) or "no IPv4 address"
            raise EnvironmentLackError(
                f"peer {peer.name}: {peer.interface} has not got the local address {peer.local}; it has {has}",
                f"ip address add {peer.local}/PREFIXLEN dev {peer.interface}, or correct `local`",
            )


@contextmanager
def locked(gateway: Gateway) -> Iterator[None]:
    """Only one agent for each runtime_dir. The kernel lets go of the lock however the agent ends."""
    path = Path(gateway.runtime_dir, "agent.lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EnvironmentLackError(f"cannot open {path}: {error.strerror}", "has an agent run here?") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EnvironmentLackError(
                f"an agent (pid {_lock_pid(gateway) or 'unknown'}) runs in {gateway.runtime_dir} already",
                f"netctl status --runtime-dir {gateway.runtime_dir}, or stop it first",
            ) from None
        with suppress(OSError):  # a full disk: the lock holds, only the pid is not known to others
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def last_line(log_path: str) -> str:
    """The last line of a child's log, without its JSON around it."""
    try:
        with Path(log_path).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    said = [line for line in lines if not line.startswith("advice ")]  # ExaBGP's, about its own settings
    if not said:
        return ""
    with suppress(msgspec.DecodeError):
        entry = msgspec.json.decode(said[-1])
        if isinstance(entry, dict):
            return str(entry.get("event", said[-1]))
    return said[-1]


# --- asking a running agent ------------------------------------------------------------------------------------------


def agent_socket(gateway: Gateway) -> Path:
    """Where the gateway's agent listens."""
    return Path(gateway.runtime_dir, AGENT_SOCKET)


def stop_gateway(gateway: Gateway, *, flush: bool) -> dict[str, Any]:
    """Ask the agent to end everything; where none answers, do it in its place. Returns what was ended."""
    socket = agent_socket(gateway)
    try:
        ask(socket, Request("status"))
    except EnvironmentLackError as error:
        if _holder(gateway):
            raise EnvironmentLackError(
                f"{error.message}, and its process {_holder(gateway)} lives",
                f"let it run on (kill -CONT {_holder(gateway)}) or end it, then stop again",
            ) from None
        with locked(gateway):
            return asyncio.run(_stop(gateway, flush))
    return ask(socket, Request("stop", "flush" if flush else ""), within_s=60.0).body


def _holder(gateway: Gateway) -> str:
    """The pid of the agent that holds the lock; empty when none does."""
    try:
        with locked(gateway):
            return ""
    except EnvironmentLackError:
        return _lock_pid(gateway)


def _lock_pid(gateway: Gateway) -> str:
    try:
        return Path(gateway.runtime_dir, "agent.lock").read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


async def _stop(gateway: Gateway, flush: bool) -> dict[str, Any]:
    kernel = NetlinkKernel()
    try:
        return await end_all(gateway, _ports(gateway, kernel), Hello("cli", gateway.name, os.getpid()), flush=flush)
    finally:
        kernel.close()


def ask(socket: Path, request: Request, within_s: float = 5.0) -> Reply:
    """Ask the agent that listens at ``socket``. Raises EnvironmentLackError when none answers, NetctlError with its
    words when it refuses."""
    return asyncio.run(ipc.ask(str(socket), request, "agent", within_s))
