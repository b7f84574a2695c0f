"""One registry entry → one checked Instance, or Skipped with the reason in words. Never raises, whatever the bytes.

What is checked is what a cluster would refuse: an EndpointSlice with one bad address is refused as a whole (422).
Sources: Kubernetes API validation (ValidateEndpointIP, IsValidPortName, IsDNS1035Label), RFC 1035 2.3.1, RFC 6335 5.1.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from netctl.config.problem import show_key, show_value
from netctl.model.naming import Instance, Skipped

MAX_VALUE_BYTES = 64 * 1024
"""An entry's value may be so long. A registry that knows it to be longer need not hand over more than one byte more."""
MAX_PORTS = 64
MAX_WEIGHT = 65_535

_SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PORT_NAME = re.compile(r"(?=[-0-9]*[a-z])[a-z0-9]+(-[a-z0-9]+)*")


class _BadError(Exception):
    """Why the entry cannot be used."""


def read_entry(
    source: str, key: str, value: bytes, default_cloud: str | None, clouds: Collection[str]
) -> Instance | Skipped:
    """The instance at ``key`` (``service/instance``). ``default_cloud`` is for entries that name none; every cloud must
    be one of ``clouds``. Fields that are not known are ignored; null is the same as left out."""
    try:
        service, name = _names(key, clouds)
        fields = _fields(value)
        return Instance(
            service,
            name,
            _address(fields.get("address")),
            _ports(fields.get("ports")),
            _cloud(fields.get("cloud"), default_cloud, clouds),
            _weight(fields.get("weight")),
            _healthy(fields.get("healthy")),
            _hostname(fields.get("hostname")),
            source,
        )
    except _BadError as bad:
        return Skipped(source, _printable(show_key(key)), str(bad))


def _names(key: str, clouds: Collection[str]) -> tuple[str, str]:
    parts = key.split("/")
    if len(parts) != 2:
        raise _BadError(f"the key has {len(parts)} parts; write SERVICE/INSTANCE")
    service, name = parts
    if (wrong := _no_label("service", service, first_letter=True)) or (wrong := _no_label("instance", name)):
        raise _BadError(wrong)
    if service in clouds:
        raise _BadError(
            f"a service must not be called like a cloud: {service}.ZONE is cloud {service}'s own zone; "
            f"write another name, for example {service}-app"
        )
    return service, name


@lru_cache(maxsize=65_536)
def _no_label(what: str, text: str, *, first_letter: bool = False) -> str:
    """Why ``text`` is no DNS label, and what to write instead; "" when it is one."""
    if (_SERVICE if first_letter else _LABEL).fullmatch(text):
        return ""
    start = "a letter" if first_letter else "a letter or digit"
    if not text:
        return f"the {what} name is empty"
    meant = re.sub(r"[^a-z0-9]+", "-", text[:200].lower()).strip("-")
    if first_letter and meant[:1].isdigit():
        meant = f"s-{meant}"
    meant = meant[:63].strip("-")
    instead = f"; write {meant}" if meant and meant != text else ""
    return (
        f"{what} name {show_value(text)} is no DNS label (up to 63 of a-z, 0-9 and '-', first {start}, "
        f"last a letter or digit){instead}"
    )


def _fields(value: bytes) -> dict[str, Any]:
    if len(value) > MAX_VALUE_BYTES:
        raise _BadError(f"the value is longer than {MAX_VALUE_BYTES // 1024} KiB")
    if not value:
        raise _BadError("the value is empty; write JSON with at least address and ports")
    try:
        fields = json.loads(value.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise _BadError(f"the value is not UTF-8 (byte 0x{value[error.start]:02x} at {error.start})") from None
    except RecursionError:
        raise _BadError("the value is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _BadError(f"the value is not JSON: {error.msg} at character {error.pos}") from None
    except ValueError:
        raise _BadError("the value holds a number that is too long") from None
    if not isinstance(fields, dict):
        raise _BadError(f'the value must be a JSON object like {{"address": ...}}, not {show_value(fields)}')
    return fields


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _BadError(f"{show_value(twice)} stands there twice; which one is meant?")
    return fields


def _no_constant(word: str) -> Any:
    raise _BadError(f"the value is not JSON: {word} is no JSON number")


def _address(value: Any) -> str:
    if value is None:
        raise _BadError("address is missing")
    if not isinstance(value, str):
        raise _BadError(f"address must be a text, not {show_value(value)}")
    canonical, wrong = _canonical(value)
    if wrong:
        raise _BadError(f"address {show_value(value)} {wrong}")
    return canonical


@lru_cache(maxsize=65_536)
def _canonical(text: str) -> tuple[str, str]:
    """(canonical text, what is wrong with it). Only what Kubernetes takes as an endpoint's address is right."""
    try:
        address = ip_address(text)
    except ValueError:
        if text != text.strip():
            return "", "has blanks around it"
        if re.fullmatch(r"[0-9]+(\.[0-9]+){3}", text) and re.search(r"(^|\.)0[0-9]", text):
            return "", "has leading zeros, which some read as octal; write it without"
        return "", "is no IP address (names are not looked up)"
    return str(address), next((f"is {kind}" for wrong, kind in _kinds(address) if wrong), "")


def _kinds(address: IPv4Address | IPv6Address) -> Iterator[tuple[bool, str]]:
    """What an endpoint's address must not be."""
    if isinstance(address, IPv6Address):
        yield address.scope_id is not None, "bound to an interface, which means nothing on another machine"
        yield address.ipv4_mapped is not None, f"an IPv4 address in IPv6 clothes; write {address.ipv4_mapped}"
    else:
        yield address.packed[0] == 0, "in 0.0.0.0/8, which is no host's"
        yield address.packed == b"\xff" * 4, "the broadcast address"
    yield address.is_unspecified, "the unspecified address"
    yield address.is_loopback, "a loopback address: every machine would ask itself"
    yield address.is_link_local, "a link-local address, which means nothing on another network"
    yield address.is_multicast, "a multicast address"


def _ports(value: Any) -> tuple[tuple[str, int], ...]:
    if value is None:
        raise _BadError("ports are missing")
    if not isinstance(value, dict):
        raise _BadError(f'ports must be an object like {{"http": 8080}}, not {show_value(value)}')
    if not 1 <= len(value) <= MAX_PORTS:
        raise _BadError(f"there must be 1 to {MAX_PORTS} ports, not {len(value)}")
    for name, number in value.items():
        if len(name) > 15 or not _PORT_NAME.fullmatch(name):
            raise _BadError(
                f"port name {show_value(name)} is none (1 to 15 of a-z, 0-9 and single '-' inside, at least one letter)"
            )
        if not _whole(number, 1, 65_535):
            raise _BadError(f"port {name} must be a whole number from 1 to 65535, not {show_value(number)}")
    return tuple(sorted(value.items()))


def _cloud(value: Any, default: str | None, clouds: Collection[str]) -> str:
    if value is None:
        value = default
    if value is None:
        raise _BadError("cloud is missing, and the source has no default")
    if not isinstance(value, str) or value not in clouds:
        near = get_close_matches(value[:64], list(clouds), 1) if isinstance(value, str) else []
        meant = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(clouds))}"
        raise _BadError(f"cloud {show_value(value)} is not known; {meant}")
    return value


def _weight(value: Any) -> int:
    if value is None:
        return 1
    if not _whole(value, 0, MAX_WEIGHT):
        raise _BadError(f"weight must be a whole number from 0 to {MAX_WEIGHT}, not {show_value(value)}")
    return int(value)


def _healthy(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, bool):
        raise _BadError(f"healthy must be true or false, not {show_value(value)}")
    return value


def _hostname(value: Any) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str):
        raise _BadError(f"hostname must be a text, not {show_value(value)}")
    if wrong := _no_label("hostname", value).replace("hostname name", "hostname"):
        raise _BadError(wrong)
    return value


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
