"""What a gateway file looks like: names, types, bounds, defaults. The JSON Schema is made from this."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from netctl.config.fields import (
    IPV4,
    NAME_PATTERN,
    NAME_SCHEMA,
    Address,
    False_,
    File,
    HostPort,
    Name,
    RuntimeDir,
    Text,
    Url,
    Version,
    by_key,
    later,
    schema,
)
from netctl.config.shape import LATER, LATER_WORDS
from netctl.model.prefix import parse_prefix

DEFAULT_INTERVAL_MS = 1000
DEFAULT_TIMEOUT_MS = 500
"""Of a check; the interval when that is shorter."""
_INTERFACE = r"^(?!\.{1,2}$)[!-.0-9;-~]{1,15}$"
_WHEN = r"^(check|peer|path):[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
MAX_ASN = 4294967295
AS_TRANS = 23456
"""The placeholder of four-byte AS numbers, nobody's own (RFC 6793 9)."""


def _prefix(value: str) -> str:
    if len(parse_prefix(value)) != 5:
        raise ValueError("IPv6 is not yet supported")
    return value


def _asn(value: int) -> int:
    if value == AS_TRANS:
        raise ValueError("is the placeholder for four-byte numbers and nobody's own (RFC 6793)")
    return value


def _hold_time(value: int) -> int:
    if value in {1, 2}:
        raise ValueError("a hold time of 1 or 2 seconds is forbidden (RFC 4271 4.2)")
    return value


Interface = Annotated[str, Text(_INTERFACE, "an interface's name: 1 to 15 printable characters without '/' and ':'")]
PrefixText = Annotated[
    str,
    AfterValidator(_prefix),
    schema("an IPv4 prefix like 10.2.0.0/16", type="string", pattern=rf"^{IPV4}/([12]?[0-9]|3[0-2])$"),
]
Asn = Annotated[
    int,
    Field(ge=1, le=MAX_ASN),
    AfterValidator(_asn),
    schema(
        f"1 to {MAX_ASN} without {AS_TRANS}", type="integer", minimum=1, maximum=MAX_ASN, **{"not": {"const": AS_TRANS}}
    ),
]
HoldTime = Annotated[
    int,
    Field(ge=0, le=65535),
    AfterValidator(_hold_time),
    schema("0 (never expires) or 3 to 65535", type="integer", minimum=0, maximum=65535, **{"not": {"enum": [1, 2]}}),
]
Target = Annotated[str, Text(NAME_PATTERN, "provider, fabric, or a peer's name")]
When = Annotated[str, Text(_WHEN, "check:NAME, peer:NAME, path:CLOUD or path:any")]


class BfdFile(File):
    """BFD of a peer; detection takes multiplier x interval."""

    interval_ms: int = Field(ge=3, le=10_000, description="transmit and required receive interval")
    multiplier: int = Field(default=3, ge=1, le=255, description="lost packets until Down (RFC 5880 4.1)")
    auth: None = later("null")


class PeerFile(File):
    """One BGP neighbour."""

    name: Name
    kind: Literal["provider", "fabric"]
    interface: Interface
    local: Address = Field(description="own address on this link")
    address: Address = Field(description="the peer's address on this link")
    asn: Asn
    bfd: BfdFile | None = None
    hold_time_s: HoldTime = 9
    max_prefixes: int = Field(default=1_000_000, ge=1, le=10_000_000)
    weight: int = Field(
        default=1,
        ge=1,
        le=256,
        description="ECMP weight (256 is the kernel's limit)",
        json_schema_extra={LATER_WORDS: ["auto"]},
    )
    md5_file: None = later("null")
    probe_address: None = later("null")
    families: list[Literal["ipv4"]] = Field(
        default=["ipv4"], min_length=1, max_length=1, json_schema_extra={LATER: "[ipv4]"}
    )
    local6: None = later("null")
    address6: None = later("null")
    listen: False_ = Field(default=False, json_schema_extra={LATER: "false"})
    mtu: None = later("null")


class CloudFile(File):
    """A remote cloud."""

    name: Name
    prefixes: list[PrefixText] = Field(min_length=1)
    gateways: Annotated[list[Any], Field(max_length=0)] | None = Field(default=None, json_schema_extra={LATER: "[]"})
    bfd: None = later("null")


class AnnouncementFile(File):
    """A prefix to announce. No ``to``: all providers. ``when``: every condition must hold."""

    prefix: PrefixText
    to: list[Target] | None = Field(default=None, min_length=1)
    when: list[When] | None = None


class CheckFile(File):
    """A health check: exactly one of ``http`` and ``tcp``."""

    http: Url | None = None
    tcp: HostPort | None = None
    interval_ms: int = Field(default=DEFAULT_INTERVAL_MS, ge=10, le=3_600_000)
    timeout_ms: int | None = Field(
        default=None, ge=1, le=3_600_000, description="500, or the interval when that is shorter"
    )
    rise: int = Field(default=2, ge=1, le=1000)
    fall: int = Field(default=3, ge=1, le=1000)


class GatewayFile(File):
    """A netctl gateway file."""

    version: Version
    gateway: Name
    cloud: Name
    asn: Asn
    router_id: Address
    runtime_dir: RuntimeDir | None = Field(default=None, description="sockets and state; default /run/netctl/GATEWAY")
    peers: list[PeerFile] = Field(min_length=1)
    clouds: list[CloudFile] = Field(default=[])
    announce: list[AnnouncementFile] = Field(default=[])
    checks: dict[Name, CheckFile] = Field(default={}, json_schema_extra=by_key(NAME_SCHEMA))
    metrics_listen: HostPort | None = Field(default=None, description="serve Prometheus metrics here")
