"""The checker on a real machine."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

from netctl.checker.decide import MOST_RUNNING
from netctl.checker.shell import CheckerShell
from netctl.health.io import RealChecks
from netctl.ipc.io import UnixStreams
from netctl.ipc.tls.io import TlsStreams
from netctl.model.controller import Checker
from netctl.model.errors import EnvironmentLackError
from netctl.model.io import SystemClock
from netctl.telemetry.http.io import metrics_server
from netctl.telemetry.io import configure_logging


def run_checker(settings: Checker) -> None:
    """Run until SIGTERM or SIGINT. Raises EnvironmentLackError naming what is missing or taken."""
    try:
        Path(settings.runtime_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentLackError(
            f"cannot make {error.filename}: {error.strerror}", "choose another runtime_dir"
        ) from None
    _allow_descriptors(2 * MOST_RUNNING)
    asyncio.run(_run(settings))


async def _run(settings: Checker) -> None:
    logger = configure_logging("checker", settings.name)

    def log(level: str, event: str, **fields: object) -> None:
        getattr(logger, level)(event, **fields)

    remote = TlsStreams(settings.tls, on_refused=lambda reason: log("warning", "certificate", reason=reason))
    checks = RealChecks()
    shell = CheckerShell(settings, SystemClock(), UnixStreams(), remote, checks, pid=os.getpid(), log=log)
    gc.set_threshold(10_000, 50, 1_000)
    task = asyncio.ensure_future(shell.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    log("info", "started", cloud=settings.cloud, controllers=list(settings.controllers))
    try:
        async with metrics_server(settings.metrics_listen, shell.metrics):
            await task
    except asyncio.CancelledError:
        log("info", "stopped")
    finally:
        task.cancel()
        await checks.close()


def _allow_descriptors(wanted: int) -> None:
    """Each run under way holds one. As many as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        with suppress(OSError, ValueError):
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
