"""What a controller file looks like: names, types, bounds, defaults. The JSON Schema is made from this."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from netctl.config.fields import (
    HOST,
    NAME_SCHEMA,
    PORT,
    Address,
    File,
    FilePath,
    HostPort,
    Name,
    RuntimeDir,
    Text,
    True_,
    Version,
    by_key,
    later,
)
from netctl.config.shape import NO_KEY

DEFAULT_INTERVAL_MS = 300
DEFAULT_TIMEOUT_MS = 250
"""Of a check; the interval when that is shorter."""
NO_CHECK = "none"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LATER_SOURCES = ("zookeeper", "consul", "nacos", "eureka", "dns")

SERVICE_PATTERN = r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"
"""A DNS label as Services have it (RFC 1035 2.3.1)."""
_NAMESPACE = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_PORT_NAME = r"^(?=.*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$"
_ZONE = r"^(?=.{1,180}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"
_ENDPOINT = rf"^https?://{HOST}(:{PORT})?/?$"
_PREFIX = r"^(?=.{1,200}$)[!-~]*/$"
_IDENTITY = r"^[!-~]{1,128}$"
_HTTP_PATH = r"^/[!-~]*$"
_WINDOW = r"^[1-9][0-9]{0,5}[smhd]$"

_SERVICE_SCHEMA = {
    "type": "string",
    "pattern": SERVICE_PATTERN,
    "x-allowed": "a service's name: 1 to 63 of a-z, 0-9 and '-', a letter first, no '-' at the end",
}
_WINDOW_SCHEMA = {
    "type": "string",
    "pattern": _WINDOW,
    "x-allowed": "a time like 90s, 5m, 1h or 7d",
    NO_KEY: "is no time",
}
Window = Annotated[str, Text(_WINDOW, str(_WINDOW_SCHEMA["x-allowed"]))]
ServiceName = Annotated[str, Text(SERVICE_PATTERN, str(_SERVICE_SCHEMA["x-allowed"]))]
Namespace = Annotated[str, Text(_NAMESPACE, "a namespace's name: 1 to 63 of a-z, 0-9 and '-', no '-' at either end")]
PortName = Annotated[
    str, Text(_PORT_NAME, "a port's name: 1 to 15 of a-z, 0-9 and '-', with a letter, no '-' at either end or twice")
]
Endpoint = Annotated[str, Text(_ENDPOINT, "a URL like http://10.1.9.10:2379")]
Prefix = Annotated[str, Text(_PREFIX, "up to 200 printable characters with a '/' at the end")]
Zone = Annotated[str, Text(_ZONE, "a domain in lower case, without a dot at the end, like netctl.internal")]
Identity = Annotated[str, Text(_IDENTITY, "1 to 128 printable characters without spaces")]
HttpPath = Annotated[str, Text(_HTTP_PATH, "a path like /healthz")]
ContextName = Annotated[str, Text(r"^[^\x00-\x1f\x7f]+$", "a context's name")]
UserName = Annotated[str, Text(r"^[^\x00-\x1f\x7f]+$", "a user's name")]


class EtcdFile(File):
    """etcd 3.4 or newer by its JSON gateway; keys are ``PREFIX<service>/<instance>``, values instances as JSON."""

    endpoints: list[Endpoint] = Field(min_length=1, description="tried in order")
    prefix: Prefix = "/vm/"
    ca: FilePath | None = Field(default=None, description="certificates that sign the servers' (PEM)")
    cert: FilePath | None = Field(default=None, description="own certificate (PEM)")
    key: FilePath | None = Field(default=None, description="its private key (PEM)")
    username: UserName | None = None
    password_file: FilePath | None = Field(default=None, description="the first line is the password")


class FileSourceFile(File):
    """A YAML file with services and their instances."""

    path: FilePath


class SourceFile(File):
    """One registry: exactly one of ``etcd`` and ``file``."""

    name: Name
    etcd: EtcdFile | None = None
    file: FileSourceFile | None = None
    cloud: Name | None = Field(default=None, description="of instances that do not say theirs; without it: skipped")
    zookeeper: None = later("null")
    consul: None = later("null")
    nacos: None = later("null")
    eureka: None = later("null")
    dns: None = later("null")


class ClusterFile(File):
    """A cluster that this controller may write."""

    name: Name
    cloud: Name = Field(description="whose closed loop its names answer")
    kubeconfig: FilePath
    namespace: Namespace = "vm"
    context: ContextName | None = Field(default=None, description="of the kubeconfig; without it its current one")


class DnsFile(File):
    """The names; for ``netctl status`` and drills."""

    zone: Zone = "netctl.internal"
    ttl_s: int = Field(default=1, ge=0, le=3600)
    servers: dict[Name, Annotated[list[Address], Field(min_length=1)]] = Field(
        default={}, json_schema_extra=by_key(NAME_SCHEMA), description="cloud → addresses of its CoreDNS"
    )


class GuardsFile(File):
    """What may vanish without anybody's consent."""

    max_shrink: float = Field(default=0.3, ge=0, le=1, allow_inf_nan=False)
    removals: dict[Window, Annotated[int, Field(ge=0, le=10_000_000)]] = Field(
        default={"1m": 100, "5m": 300, "1h": 2000, "24h": 20000}, json_schema_extra=by_key(_WINDOW_SCHEMA), min_length=1
    )


class ServiceCheckFile(File):
    """How a service's instances are checked: exactly one of ``tcp`` and ``http``."""

    tcp: True_ | None = Field(default=None, description="connect")
    http: HttpPath | None = Field(default=None, description="GET this; 200 to 399 passes")
    port: PortName | None = Field(default=None, description="one of the instance's ports; without it the first by name")
    interval_ms: int = Field(default=DEFAULT_INTERVAL_MS, ge=10, le=3_600_000)
    timeout_ms: int | None = Field(
        default=None, ge=1, le=3_600_000, description="250, or the interval when that is shorter"
    )
    rise: int = Field(default=2, ge=1, le=1000)
    fall: int = Field(default=2, ge=1, le=1000)


_MEANT = {"tcp": "{tcp: true}", "http": "{http: /}"}
_TCP, _NEVER = ServiceCheckFile(tcp=True), ServiceCheckFile()


def _check_or_none(value: Any) -> Any:
    if value is None:
        raise ValueError("must be a mapping (KEY: VALUE lines) or the word none")
    if isinstance(value, str) and value in _MEANT:
        raise ValueError(f"must be a mapping: {_MEANT[value]}")
    return _NEVER if value == NO_CHECK else value


class _OrNone:
    """In the schema: the word ``none``, or the mapping."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        choices = [{"const": NO_CHECK}, handler(core)]
        return {"anyOf": choices, "x-allowed": "none, or a mapping with tcp: true or http: /PATH"}


Check = Annotated[ServiceCheckFile, BeforeValidator(_check_or_none), _OrNone()]


class ServiceFile(File):
    """What one service does otherwise than the rest."""

    type: Literal["headless", "ClusterIP"] = "headless"
    check: Check | None = Field(default=None, description="without it the file's `check`")


class TlsFile(File):
    """Mutual TLS: both ends show a certificate that ``ca`` has signed."""

    ca: FilePath
    cert: FilePath
    key: FilePath


class CheckersFile(File):
    """Where the checkers connect."""

    listen: HostPort
    tls: TlsFile | None = None


class ControllerFile(File):
    """A netctl controller file."""

    version: Version
    identity: Identity | None = Field(default=None, description="holder of the Leases; default HOSTNAME:RUNTIME_DIR")
    runtime_dir: RuntimeDir = "/run/netctl/controller"
    sources: list[SourceFile] = Field(min_length=1)
    clusters: list[ClusterFile] = Field(min_length=1)
    management: Name | None = Field(default=None, description="which cluster holds policies; default: the first one")
    dns: DnsFile = Field(default_factory=DnsFile, json_schema_extra={"default": {}})
    guards: GuardsFile = Field(default_factory=GuardsFile, json_schema_extra={"default": {}})
    lease_s: int = Field(default=3, ge=1, le=300, description="leaseDurationSeconds; renewed every third of it")
    check: Check = Field(default_factory=lambda: _TCP, json_schema_extra={"default": {"tcp": True}})
    services: dict[ServiceName, ServiceFile] = Field(default={}, json_schema_extra=by_key(_SERVICE_SCHEMA))
    checkers: CheckersFile | None = None
    metrics_listen: HostPort | None = Field(default=None, description="serve Prometheus metrics here")
