"""The controller file and the checker file after validation.

Built only by ``netctl.config``; every value here is already checked. Paths are absolute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ServiceType = Literal["headless", "ClusterIP"]


@dataclass(frozen=True, slots=True)
class EtcdSource:
    """``endpoints`` are URLs, tried in order; keys are ``PREFIX<service>/<instance>``. The rest: https and auth."""

    endpoints: tuple[str, ...]
    prefix: str
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    username: str | None = None
    password_file: str | None = None


@dataclass(frozen=True, slots=True)
class FileSource:
    """A YAML file: ``{services: {orders: {instances: {vm5: {...}}}}}``."""

    path: str


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One registry; exactly one of ``etcd`` and ``file``."""

    name: str
    etcd: EtcdSource | None = None
    file: FileSource | None = None
    cloud: str | None = None
    """The cloud of instances that do not say theirs; None: those are skipped."""

    @property
    def kind(self) -> str:
        return "etcd" if self.etcd is not None else "file"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """A cluster that this controller may write. ``cloud``: the one whose closed loop its names answer."""

    name: str
    cloud: str
    kubeconfig: str
    namespace: str
    context: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceCheck:
    """How the instances of a service are checked. ``kind`` none: never (their verdict stays unknown).

    ``port`` names one of the instance's ports (None: its first by name); ``path`` is for http (200-399 passes).
    """

    kind: Literal["tcp", "http", "none"] = "tcp"
    port: str | None = None
    path: str = "/"
    interval_ms: int = 300
    timeout_ms: int = 250
    rise: int = 2
    fall: int = 2


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What one service does otherwise than the rest."""

    type: ServiceType = "headless"
    check: ServiceCheck | None = None
    """None: the controller file's default check."""


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Mutual TLS: both ends show a certificate that ``ca_file`` has signed."""

    ca_file: str
    cert_file: str
    key_file: str


@dataclass(frozen=True, slots=True)
class CheckersSettings:
    """Where the checkers connect: ``HOST:PORT``. Without ``tls`` only a loopback address is allowed."""

    listen: str
    tls: TlsSettings | None = None


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """``servers``: cloud → addresses of its CoreDNS (for ``netctl status`` and drills)."""

    zone: str = "netctl.internal"
    ttl_s: int = 1
    servers: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """``removals``: window in seconds → how many ready endpoints may go in it without health's corroboration, per
    cluster; the limit is max(value, 1 % of the catalog)."""

    max_shrink: float = 0.3
    removals: tuple[tuple[int, int], ...] = ((60, 100), (300, 300), (3600, 2000), (86400, 20000))


@dataclass(frozen=True, slots=True)
class Controller:
    """The whole controller file. ``identity``: holder of the Leases, stable over restarts, unlike any other's."""

    identity: str
    runtime_dir: str
    sources: tuple[SourceSettings, ...]
    clusters: tuple[ClusterSettings, ...]
    management: str
    dns: DnsSettings = field(default_factory=DnsSettings)
    guards: GuardSettings = field(default_factory=GuardSettings)
    lease_s: float = 3.0
    """leaseDurationSeconds; it is renewed every third of it."""
    check: ServiceCheck = field(default_factory=ServiceCheck)
    services: dict[str, ServiceSettings] = field(default_factory=dict)
    checkers: CheckersSettings | None = None
    metrics_listen: str | None = None
    source: str = ""
    """The path of the file it came from, for messages."""

    def service(self, name: str) -> ServiceSettings:
        """The settings of a service, defaults filled in: ``check`` is never None."""
        found = self.services.get(name, ServiceSettings())
        return found if found.check is not None else ServiceSettings(found.type, self.check)


@dataclass(frozen=True, slots=True)
class Checker:
    """The whole checker file: which cloud's instances it checks, and for which controllers (``HOST:PORT`` each)."""

    name: str
    cloud: str
    runtime_dir: str
    controllers: tuple[str, ...]
    tls: TlsSettings | None = None
    metrics_listen: str | None = None
    source: str = ""
