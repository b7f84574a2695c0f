"""What a value in a file may be: the types that several kinds of files share, each with its JSON Schema.

Bounds that are facts of a protocol or of the kernel name their source. A key whose function comes later has a type that
holds its neutral value only, and is marked with ``later``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from netctl.config.shape import LATER
from netctl.model.prefix import parse_address

VERSION = 1
NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4 = rf"{_OCTET}(\.{_OCTET}){{3}}"
PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_HOST_PORT = rf"^{HOST}:{PORT}$"
_NOT_A_HOST = r"(?!(0|22[4-9]|23[0-9]|255)\.)"
_ABSOLUTE = r"^/[^\x00-\x1f\x7f]*$"
_PATH = r"^(?!~)[^\x00-\x1f\x7f]+$"
_URL = rf"^https?://{HOST}(:{PORT})?([/?][!-~]*)?$"


def matches(pattern: str) -> AfterValidator:
    """The text must match in full."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise ValueError("is not allowed here")
        return value

    return AfterValidator(check)


def schema(allowed: str, **more: Any) -> WithJsonSchema:
    """The schema of a type with a validator of its own, and in words what is allowed."""
    return WithJsonSchema({**more, "x-allowed": allowed})


class Text:
    """As ``Annotated[str, Text(...)]``: a text that matches ``pattern`` in full; ``allowed`` says it in words."""

    def __init__(self, pattern: str, allowed: str) -> None:
        self._check = matches(pattern)
        self._schema = {"type": "string", "pattern": pattern, "x-allowed": allowed}

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return self._check.__get_pydantic_core_schema__(source, handler)

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return dict(self._schema)


def later(neutral: str) -> Any:
    """Marks a key whose function comes later."""
    return Field(default=None, json_schema_extra={LATER: neutral})


def by_key(names: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """For ``json_schema_extra`` of a mapping: say of its keys all that ``names`` says; pydantic would say the pattern
    only, and allow other keys."""

    def say(node: dict[str, Any]) -> None:
        patterns = node.pop("patternProperties", None)
        inner = patterns.popitem()[1] if patterns else node["additionalProperties"]
        node.update(propertyNames=names, additionalProperties=inner)

    return say


def _address(value: str) -> str:
    packed = parse_address(value)
    if len(packed) != 4 or packed[0] in {0, 255} or 224 <= packed[0] < 240:
        raise ValueError("is no host's IPv4 address")
    return value


def _version(value: int) -> int:
    if value != VERSION:
        raise ValueError("no such version")
    return value


def _false(value: bool) -> bool:
    if value:
        raise ValueError("is not yet supported")
    return value


def _true(value: bool) -> bool:
    if not value:
        raise ValueError("must be true, or left out")
    return value


# Not Literal: Python takes true for 1, 1.0 for 1 and 0 for false.
Version = Annotated[int, AfterValidator(_version), schema("1", const=1)]
False_ = Annotated[bool, AfterValidator(_false), schema("false", const=False)]
True_ = Annotated[bool, AfterValidator(_true), schema("true", const=True)]
NAME_SCHEMA = {
    "type": "string",
    "pattern": NAME_PATTERN,
    "maxLength": 32,
    "x-allowed": "1 to 32 of a-z, 0-9 and '-', no '-' at either end",
}
Name = Annotated[str, Field(max_length=32), matches(NAME_PATTERN), WithJsonSchema(NAME_SCHEMA)]
Address = Annotated[
    str,
    AfterValidator(_address),
    schema("a host's IPv4 address like 10.0.1.2", type="string", pattern=rf"^{_NOT_A_HOST}{IPV4}$"),
]
HostPort = Annotated[str, Text(_HOST_PORT, "HOST:PORT like 127.0.0.1:9179")]
Url = Annotated[str, Text(_URL, "an http:// or https:// URL")]
RuntimeDir = Annotated[str, Text(_ABSOLUTE, "an absolute path")]
FilePath = Annotated[str, Text(_PATH, "a file's path; relative: to this file's folder; ~ is not expanded")]


class File(BaseModel):
    """A mapping in a file: no other keys, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
