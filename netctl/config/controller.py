"""The controller file: text → ``netctl.model.controller.Controller``."""

from __future__ import annotations

from collections.abc import Callable
from posixpath import join, normpath

from netctl.config.controller_file import (
    DEFAULT_TIMEOUT_MS,
    ClusterFile,
    ControllerFile,
    EtcdFile,
    ServiceCheckFile,
    SourceFile,
    TlsFile,
)
from netctl.config.controller_rules import check_controller_rules, window_s
from netctl.config.kind import Kind
from netctl.config.problem import Problem
from netctl.config.reader import read_document
from netctl.config.rules import DEFAULT_RUNTIME_DIR
from netctl.model.controller import (
    CheckersSettings,
    ClusterSettings,
    Controller,
    DnsSettings,
    EtcdSource,
    FileSource,
    GuardSettings,
    ServiceCheck,
    ServiceSettings,
    SourceSettings,
    TlsSettings,
)

CONTROLLER = Kind("controller", ControllerFile, check_controller_rules)

Resolve = Callable[[str], str]
"""A path as it stands in the file → absolute."""


def check_controller(text: str, source: str) -> list[Problem]:
    """Every problem of a controller file, sorted by place; empty: it is valid. Never raises."""
    return CONTROLLER.check(read_document(text, source))[1]


def parse_controller(text: str, source: str, *, folder: str, hostname: str) -> Controller:
    """The validated settings. Raises ConfigError with every problem.

    ``folder``: the file's own, absolute, for relative paths. ``hostname``: for the identity where none is given.
    """
    return _build(CONTROLLER.read(text, source), source, resolver(folder), hostname)


def resolver(folder: str) -> Resolve:
    """Makes paths absolute as seen from ``folder``."""
    return lambda path: normpath(join(folder, path))


def _build(file: ControllerFile, source: str, resolve: Resolve, hostname: str) -> Controller:
    removals = sorted((window_s(window) or 0, limit) for window, limit in file.guards.removals.items())
    checkers = file.checkers
    return Controller(
        identity=file.identity or default_identity(hostname, file.runtime_dir),
        runtime_dir=file.runtime_dir,
        sources=tuple(_source(entry, resolve) for entry in file.sources),
        clusters=tuple(_cluster(entry, resolve) for entry in file.clusters),
        management=file.management or file.clusters[0].name,
        dns=DnsSettings(file.dns.zone, file.dns.ttl_s, {c: tuple(a) for c, a in file.dns.servers.items()}),
        guards=GuardSettings(file.guards.max_shrink, tuple(removals)),
        lease_s=float(file.lease_s),
        check=_check(file.check),
        services={
            name: ServiceSettings(entry.type, _check(entry.check) if entry.check is not None else None)
            for name, entry in file.services.items()
        },
        checkers=CheckersSettings(checkers.listen, tls_settings(checkers.tls, resolve)) if checkers else None,
        metrics_listen=file.metrics_listen,
        source=source,
    )


def default_identity(hostname: str, runtime_dir: str) -> str:
    """Unlike any other controller's on this host (only one runs in a runtime_dir), and the same after a restart."""
    folder = normpath(runtime_dir).removeprefix(f"{DEFAULT_RUNTIME_DIR}/")
    return "".join(c if "!" <= c <= "~" else "_" for c in f"{hostname}:{folder}")


def _source(entry: SourceFile, resolve: Resolve) -> SourceSettings:
    file = FileSource(resolve(entry.file.path)) if entry.file is not None else None
    return SourceSettings(entry.name, _etcd(entry.etcd, resolve) if entry.etcd is not None else None, file, entry.cloud)


def _etcd(entry: EtcdFile, resolve: Resolve) -> EtcdSource:
    def path(given: str | None) -> str | None:
        return resolve(given) if given is not None else None

    return EtcdSource(
        endpoints=tuple(endpoint.rstrip("/") for endpoint in entry.endpoints),
        prefix=entry.prefix,
        ca_file=path(entry.ca),
        cert_file=path(entry.cert),
        key_file=path(entry.key),
        username=entry.username,
        password_file=path(entry.password_file),
    )


def _cluster(entry: ClusterFile, resolve: Resolve) -> ClusterSettings:
    return ClusterSettings(entry.name, entry.cloud, resolve(entry.kubeconfig), entry.namespace, entry.context)


def _check(check: ServiceCheckFile) -> ServiceCheck:
    timeout_ms = check.timeout_ms if check.timeout_ms is not None else min(DEFAULT_TIMEOUT_MS, check.interval_ms)
    return ServiceCheck(
        kind="http" if check.http is not None else "tcp" if check.tcp is not None else "none",
        port=check.port,
        path=check.http or "/",
        interval_ms=check.interval_ms,
        timeout_ms=timeout_ms,
        rise=check.rise,
        fall=check.fall,
    )


def tls_settings(tls: TlsFile | None, resolve: Resolve) -> TlsSettings | None:
    """The same with absolute paths."""
    return TlsSettings(resolve(tls.ca), resolve(tls.cert), resolve(tls.key)) if tls is not None else None
