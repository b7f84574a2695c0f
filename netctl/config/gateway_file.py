"""What a gateway file looks like: names, types, bounds, defaults. The JSON Schema is made from this.

Bounds that are facts of a protocol or of the kernel name their source. A key whose function comes later has a type that
holds its neutral value only, and is marked with ``later``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from netctl.config.shape import LATER, LATER_WORDS
from netctl.model.prefix import parse_address, parse_prefix

VERSION = 1
DEFAULT_INTERVAL_MS = 1000
DEFAULT_TIMEOUT_MS = 500
"""Of a check; the interval when that is shorter."""
NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(\.{_OCTET}){{3}}"
_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_HOST_PORT = rf"^{_HOST}:{_PORT}$"
_INTERFACE = r"^(?!\.{1,2}$)[!-.0-9;-~]{1,15}$"
_NOT_A_HOST = r"(?!(0|22[4-9]|23[0-9]|255)\.)"
_ABSOLUTE = r"^/[^\x00-\x1f\x7f]*$"
_WHEN = r"^(check|peer|path):[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
MAX_ASN = 4294967295
AS_TRANS = 23456
"""The placeholder of four-byte AS numbers, nobody's own (RFC 6793 9)."""
_URL = rf"^https?://{_HOST}(:{_PORT})?([/?][!-~]*)?$"


def _matches(pattern: str) -> AfterValidator:
    """The text must match in full."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise ValueError("is not allowed here")
        return value

    return AfterValidator(check)


def _schema(allowed: str, **schema: Any) -> WithJsonSchema:
    """The schema of a type with a validator of its own, and in words what is allowed."""
    return WithJsonSchema({**schema, "x-allowed": allowed})


def _address(value: str) -> str:
    packed = parse_address(value)
    if len(packed) != 4 or packed[0] in {0, 255} or 224 <= packed[0] < 240:
        raise ValueError("is no host's IPv4 address")
    return value


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


def _version(value: int) -> int:
    if value != VERSION:
        raise ValueError("no such version")
    return value


def _false(value: bool) -> bool:
    if value:
        raise ValueError("is not yet supported")
    return value


def _by_name(schema: dict[str, Any]) -> None:
    """Say of a mapping's keys all that ``Name`` says; pydantic would say the pattern only, and allow other keys."""
    _, inner = schema.pop("patternProperties").popitem()
    schema.update(propertyNames=_NAME, additionalProperties=inner)


def later(neutral: str) -> Any:
    """Marks a key whose function comes later."""
    return Field(default=None, json_schema_extra={LATER: neutral})


# Not Literal: Python takes true for 1, 1.0 for 1 and 0 for false.
Version = Annotated[int, AfterValidator(_version), _schema("1", const=1)]
False_ = Annotated[bool, AfterValidator(_false), _schema("false", const=False)]
_NAME = {
    "type": "string",
    "pattern": NAME_PATTERN,
    "maxLength": 32,
    "x-allowed": "1 to 32 of a-z, 0-9 and '-', no '-' at either end",
}
Name = Annotated[str, Field(max_length=32), _matches(NAME_PATTERN), WithJsonSchema(_NAME)]
Interface = Annotated[
    str,
    _matches(_INTERFACE),
    _schema("an interface's name: 1 to 15 printable characters without '/' and ':'", type="string", pattern=_INTERFACE),
]
Address = Annotated[
    str,
    AfterValidator(_address),
    _schema("a host's IPv4 address like 10.0.1.2", type="string", pattern=rf"^{_NOT_A_HOST}{_IPV4}$"),
]
PrefixText = Annotated[
    str,
    AfterValidator(_prefix),
    _schema("an IPv4 prefix like 10.2.0.0/16", type="string", pattern=rf"^{_IPV4}/([12]?[0-9]|3[0-2])$"),
]
Asn = Annotated[
    int,
    Field(ge=1, le=MAX_ASN),
    AfterValidator(_asn),
    _schema(
        f"1 to {MAX_ASN} without {AS_TRANS}", type="integer", minimum=1, maximum=MAX_ASN, **{"not": {"const": AS_TRANS}}
    ),
]
HoldTime = Annotated[
    int,
    Field(ge=0, le=65535),
    AfterValidator(_hold_time),
    _schema("0 (never expires) or 3 to 65535", type="integer", minimum=0, maximum=65535, **{"not": {"enum": [1, 2]}}),
]
HostPort = Annotated[
    str, _matches(_HOST_PORT), _schema("HOST:PORT like 127.0.0.1:9179", type="string", pattern=_HOST_PORT)
]
Url = Annotated[str, _matches(_URL), _schema("an http:// or https:// URL", type="string", pattern=_URL)]
RuntimeDir = Annotated[str, _matches(_ABSOLUTE), _schema("an absolute path", type="string", pattern=_ABSOLUTE)]
Target = Annotated[
    str, _matches(NAME_PATTERN), _schema("provider, fabric, or a peer's name", type="string", pattern=NAME_PATTERN)
]
When = Annotated[
    str, _matches(_WHEN), _schema("check:NAME, peer:NAME, path:CLOUD or path:any", type="string", pattern=_WHEN)
]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class BfdFile(_File):
    """BFD of a peer; detection takes multiplier x interval."""

    interval_ms: int = Field(ge=3, le=10_000, description="transmit and required receive interval")
    multiplier: int = Field(default=3, ge=1, le=255, description="lost packets until Down (RFC 5880 4.1)")
    auth: None = later("null")


class PeerFile(_File):
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


class CloudFile(_File):
    """A remote cloud."""

    name: Name
    prefixes: list[PrefixText] = Field(min_length=1)
    gateways: Annotated[list[Any], Field(max_length=0)] | None = Field(default=None, json_schema_extra={LATER: "[]"})
    bfd: None = later("null")


class AnnouncementFile(_File):
    """A prefix to announce. No ``to``: all providers. ``when``: every condition must hold."""

    prefix: PrefixText
    to: list[Target] | None = Field(default=None, min_length=1)
    when: list[When] | None = None


class CheckFile(_File):
    """A health check: exactly one of ``http`` and ``tcp``."""

    http: Url | None = None
    tcp: HostPort | None = None
    interval_ms: int = Field(default=DEFAULT_INTERVAL_MS, ge=10, le=3_600_000)
    timeout_ms: int | None = Field(
        default=None, ge=1, le=3_600_000, description="500, or the interval when that is shorter"
    )
    rise: int = Field(default=2, ge=1, le=1000)
    fall: int = Field(default=3, ge=1, le=1000)


class GatewayFile(_File):
    """A netctl gateway file."""

    version: Version
    gateway: Name
    cloud: Name
    asn: Asn
    router_id: Address
    runtime_dir: RuntimeDir | None = Field(default=None, description="sockets and state; default /run/netctl/GATEWAY")
    peers: list[PeerFile] = Field(min_length=1)
    clouds: list[CloudFile] = []
    announce: list[AnnouncementFile] = []
    checks: dict[Name, CheckFile] = Field(default={}, json_schema_extra=_by_name)
    metrics_listen: HostPort | None = Field(default=None, description="serve Prometheus metrics here")
