"""What requests are called and what answers mean, without sending any.

Source: Kubernetes API concepts (kubernetes.io/docs/reference/using-api/api-concepts), meta/v1 Status.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, cast

import msgspec

from netctl.model.kube import (
    BusyError,
    ConflictError,
    DeniedError,
    GoneError,
    InvalidError,
    KubeError,
    KubeEvent,
    NotFoundError,
    Obj,
    Resource,
    UnknownOutcomeError,
)

_KINDS: dict[int, type[KubeError]] = {
    400: InvalidError,
    401: DeniedError,
    403: DeniedError,
    404: NotFoundError,
    405: InvalidError,
    409: ConflictError,
    410: GoneError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
}
_OPEN = ("timeout", "timed out", "deadline", "etcdserver", "context canceled")
"""Words of a 500 that leave a write's outcome open: the API server gave up waiting for its store."""
_TEXT_MAX = 400


def path(resource: Resource, namespace: str | None, name: str = "") -> str:
    """``/apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME``; without a namespace that of all."""
    inside = f"/namespaces/{namespace}" if resource.namespaced and namespace else ""
    return f"{resource.api}{inside}/{resource.plural}" + (f"/{name}" if name else "")


def error(status: int, body: bytes, where: str, *, writing: bool, retry_after: str | None = None) -> KubeError:
    """The error that an answer of 400 and more means. ``retry_after``: that header's value."""
    told = _status_of(body)
    details = told.get("details")
    seconds = details.get("retryAfterSeconds", 0) if isinstance(details, dict) else 0
    message = one_line(str(told.get("message") or "") or body.decode("utf-8", "replace")) or "no reason given"
    return _typed(status, f"{where}: {message} ({status})", writing, _seconds(retry_after) or _seconds(seconds))


def event(line: bytes, where: str) -> KubeEvent:
    """One line of a watch. Raises what an ERROR event means, BusyError for a line that is no event."""
    try:
        told = msgspec.json.decode(line)
        kind, thing = told["type"], told["object"]
        if kind != "ERROR":
            str.isdecimal(thing["metadata"]["resourceVersion"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise BusyError(f"{where}: the watch sent what is no event: {line[:80]!r}", 200) from None
    if kind == "ERROR":
        code = thing.get("code") if isinstance(thing, dict) else None
        code = code if isinstance(code, int) else 500
        message = one_line(str(thing.get("message", "")) if isinstance(thing, dict) else str(thing))
        raise _typed(code, f"{where}: {message} ({code})", False, 0.0)
    return KubeEvent(kind, cast("Obj", thing))


def expiry_of(token: str) -> float | None:
    """When a bearer token that is a JWT ends, in seconds since the epoch; None: it does not say (RFC 7519, 4.1.4)."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, ValueError, KeyError, TypeError):
        return None


def one_line(text: str) -> str:
    """Text of others, fit for one line of a message."""
    text = " ".join(text.split())
    return text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"


def _typed(status: int, message: str, writing: bool, retry_after_s: float) -> KubeError:
    kind = _KINDS.get(status)
    if kind is not None:
        return kind(message, status)
    if writing and (status in (502, 504) or (status == 500 and any(word in message for word in _OPEN))):
        return UnknownOutcomeError(message, status)
    return BusyError(message, status, retry_after_s)


def _status_of(body: bytes) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return told if isinstance(told, dict) else {}


def _seconds(value: object) -> float:
    try:
        return max(0.0, float(str(value)))
    except ValueError:
        return 0.0
