"""``python -m netctl.liveness RUNTIME_DIR/gateway.json``: the program around the shell.

Exit codes: 0 stopped orderly, 2 wrong usage or file, 3 the machine lacks something (one line on stderr says what).
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from netctl.fib.io import NetlinkKernel
from netctl.ipc.io import UnixStreams
from netctl.liveness.shell import LivenessShell, UdpNetwork
from netctl.model.errors import EnvironmentLackError, NetctlError, UsageError
from netctl.model.gateway import Gateway
from netctl.model.io import FileStore, RealProcesses, SystemClock
from netctl.model.ports import Ports

_CAP_NET_ADMIN = 12
_MCL_CURRENT, _MCL_FUTURE = 1, 2
_FIFO_PRIORITY = 10  # above every ordinary program, below the kernel's own threads


def log(event: str, fields: Mapping[str, object]) -> None:
    """One JSON line on stderr; lost where it cannot be written (full disk, reader gone): the timers must go on."""
    line = {"time": round(time.time(), 3), "program": "liveness", "event": event, **fields}
    with suppress(OSError):
        sys.stderr.write(json.dumps(line) + "\n")
        sys.stderr.flush()


def read_gateway(path: str) -> Gateway:
    """Raises UsageError when the file is missing or is not what the agent writes."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Gateway)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "the agent writes it: netctl agent run") from None
    except msgspec.MsgspecError as error:
        raise UsageError(f"{path}: {error}", "the agent writes it: netctl agent run") from None


def require_net_admin() -> None:
    """Members are written through netlink, and BFD's sockets are bound to interfaces."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    if not capabilities >> _CAP_NET_ADMIN & 1:
        raise EnvironmentLackError("liveness needs CAP_NET_ADMIN", "run it as root or with that capability")


def lock_memory() -> bool:
    """Keep every page resident; False where it is not allowed."""
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
    # Under a limit, MCL_FUTURE would make a later allocation fail: worse than a page that is not locked.
    flags = _MCL_CURRENT | _MCL_FUTURE if unlimited else _MCL_CURRENT
    return bool(ctypes.CDLL(None).mlockall(flags) == 0)


def go_real_time() -> bool:
    """SCHED_FIFO, not inherited by children; False where it is not allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(_FIFO_PRIORITY))
    except OSError:
        return False
    return True


async def run(gateway: Gateway) -> None:
    facts = {"memory_locked": int(lock_memory()), "real_time_priority": int(go_real_time())}
    kernel = NetlinkKernel(watch_routes=False)
    ports = Ports(
        clock=SystemClock(),
        network=UdpNetwork(),
        streams=UnixStreams(),
        kernel=kernel,
        store=FileStore(gateway.runtime_dir),
        processes=RealProcesses(),
    )
    shell = LivenessShell(gateway, ports, facts=facts, log=log)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, shell.stop)
    log("started", {"gateway": gateway.name, "pid": os.getpid(), **facts})
    # What exists by now lives as long as the process: collections need not walk it, so they stay below a millisecond.
    gc.collect()
    gc.freeze()
    try:
        await shell.run()
    finally:
        kernel.close()
    log("stopped", {"gateway": gateway.name})


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    try:
        if len(arguments) != 1:
            raise UsageError("usage: python -m netctl.liveness RUNTIME_DIR/gateway.json")
        gateway = read_gateway(arguments[0])
        require_net_admin()
        asyncio.run(run(gateway))
    except NetctlError as error:
        hint = f" ({error.hint})" if error.hint else ""
        sys.stderr.write(f"netctl: liveness: {error.message}{hint}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
