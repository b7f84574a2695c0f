"""The controller on a real machine: its lock, its ports, its metrics over HTTP; and the dry run."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from netctl.controller.decide import Controller
from netctl.controller.dry import difference
from netctl.controller.shell import CONTROLLER_SOCKET, ControllerShell
from netctl.ipc.io import UnixStreams
from netctl.ipc.tls.io import TlsStreams
from netctl.kube.io import open_kube
from netctl.model.controller import Controller as Settings
from netctl.model.controller import SourceSettings
from netctl.model.errors import EnvironmentLackError, UsageError
from netctl.model.io import SystemClock
from netctl.model.kube import ENDPOINT_SLICES, SERVICES, KubeError, KubeList
from netctl.model.ports import Changed, KubeApi, Listed, Lost, RegistryEvent
from netctl.names.io import open_registry
from netctl.telemetry.http.io import metrics_server
from netctl.telemetry.io import configure_logging

_LONGEST_SOCKET_PATH = 107
_LIST_WITHIN_S = 20.0
_TIDY_S = 1.0


def run_controller(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; then the Leases are released, so that another one takes over at once, and whatever
    the clusters hold stays. Raises EnvironmentLackError and UsageError naming what is missing or wrong."""
    with _locked(settings):
        asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    logger = configure_logging("controller", settings.identity)

    def log(level: str, event: str, **fields: object) -> None:
        getattr(logger, level)(event, **fields)

    def refused(reason: str) -> None:
        log("warning", "checker refused", why=reason)

    registries = {source.name: open_registry(source) for source in settings.sources}
    kubes: dict[str, KubeApi] = {cluster.name: open_kube(cluster) for cluster in settings.clusters}
    tls = settings.checkers.tls if settings.checkers is not None else None
    shell = ControllerShell(
        settings,
        clock=SystemClock(),
        registries=registries,
        kubes=kubes,
        streams=UnixStreams(),
        checker_streams=TlsStreams(tls, on_refused=refused),
        pid=os.getpid(),
        log=log,
    )
    # A walk over all objects takes a second with thousands of slices in memory, and they hold no cycles.
    gc.set_threshold(10_000, 50, 1_000_000)
    task, tidying = asyncio.ensure_future(shell.run()), asyncio.ensure_future(_tidy())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    log("info", "started", clusters=list(kubes), sources=list(registries))
    try:
        async with metrics_server(settings.metrics_listen, shell.answers.metrics):
            await task
    except asyncio.CancelledError:
        log("info", "left", leases="released", names="stay as they are")
    finally:
        task.cancel()
        tidying.cancel()
        await asyncio.gather(task, tidying, return_exceptions=True)
        await asyncio.gather(*(registry.close() for registry in registries.values()))
        await asyncio.gather(*(api.close() for api in kubes.values()))


async def _tidy() -> None:
    """Look at the young objects each second, while they are few. Python does when more were made than freed:
    where each new slice replaces an old one that is late, after tens of milliseconds' worth, and amid a change."""
    while True:
        await asyncio.sleep(_TIDY_S)
        gc.collect(0)


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Only one controller for each runtime_dir. The kernel lets go of the lock however the controller ends."""
    runtime = Path(settings.runtime_dir)
    socket = runtime / CONTROLLER_SOCKET
    if len(os.fsencode(f"{socket}.new")) > _LONGEST_SOCKET_PATH:
        raise UsageError(
            f"{settings.source or 'controller file'}: runtime_dir {runtime} is too long for a unix socket's path",
            "choose a shorter runtime_dir",
        )
    path = runtime / "controller.lock"
    try:
        runtime.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EnvironmentLackError(
            f"cannot open {error.filename or path}: {error.strerror}", "choose another runtime_dir"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = path.read_text(encoding="ascii").strip() or "unknown"
            raise EnvironmentLackError(
                f"a controller (pid {pid}) runs in {runtime} already", "stop it first, or choose another runtime_dir"
            ) from None
        with suppress(OSError):  # a full disk: the lock holds, only the pid is not known to others
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


# --- the dry run -----------------------------------------------------------------------------------------------------


def plan_once(settings: Settings) -> dict[str, Any]:
    """What a controller that starts now would do: ``writes`` ({"cluster", "verb", "resource", "name", "why"} each),
    ``holds``, ``skipped`` and ``skipped_total`` (see ``dry.difference``). Reads every source and cluster once; takes no
    Lease and writes nothing. Raises EnvironmentLackError for what cannot be read."""
    return asyncio.run(_plan_once(settings))


async def _plan_once(settings: Settings) -> dict[str, Any]:
    clock = SystemClock()
    controller = Controller(settings, clock.monotonic_ns(), clock.wall())
    said = await asyncio.gather(*(_list_source(source) for source in settings.sources))
    lists = await asyncio.gather(
        *(_list_cluster(open_kube(cluster), cluster.namespace) for cluster in settings.clusters)
    )
    sources = dict(zip((source.name for source in settings.sources), said, strict=True))
    clusters = dict(zip((cluster.name for cluster in settings.clusters), lists, strict=True))
    return difference(controller, sources, clusters, clock.monotonic_ns())


async def _list_source(source: SourceSettings) -> Listed:
    registry = open_registry(source)
    first: asyncio.Future[RegistryEvent] = asyncio.get_running_loop().create_future()

    def take(event: RegistryEvent) -> None:
        if not first.done() and not isinstance(event, Changed):
            first.set_result(event)

    following = asyncio.ensure_future(registry.follow(take))
    try:
        async with asyncio.timeout(_LIST_WITHIN_S):
            event = await first
    except TimeoutError:
        event = Lost(f"no answer within {_LIST_WITHIN_S:g} s")
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await registry.close()
    if isinstance(event, Lost):
        raise EnvironmentLackError(
            f"source {source.name} cannot be read: {event.reason}", "without it nothing is planned"
        )
    assert isinstance(event, Listed)
    return event


async def _list_cluster(api: KubeApi, namespace: str) -> tuple[KubeList, KubeList]:
    try:
        return await api.list(SERVICES, namespace), await api.list(ENDPOINT_SLICES, namespace)
    except KubeError as error:
        raise EnvironmentLackError(str(error), "without it nothing is planned") from None
    finally:
        await api.close()
