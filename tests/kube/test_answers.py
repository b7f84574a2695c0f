"""What answers mean."""

from __future__ import annotations

import base64
import json

import pytest

from netctl.kube.answers import error, event, expiry_of, path
from netctl.model.kube import (
    ENDPOINT_SLICES,
    NAMESPACES,
    BusyError,
    ConflictError,
    DeniedError,
    GoneError,
    InvalidError,
    KubeError,
    KubeEvent,
    NotFoundError,
    UnknownOutcomeError,
)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidError),
        (401, DeniedError),
        (403, DeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, GoneError),
        (413, InvalidError),
        (422, InvalidError),
        (429, BusyError),
        (500, BusyError),
        (503, BusyError),
    ],
)
@pytest.mark.parametrize("writing", [True, False])
def test_each_status_has_its_kind(status: int, kind: type[KubeError], writing: bool) -> None:
    found = error(status, b'{"message": "so\\n it is"}', "cluster a: PUT x", writing=writing)
    assert type(found) is kind
    assert found.status == status
    assert str(found) == f"cluster a: PUT x: so it is ({status})"


@pytest.mark.parametrize(
    ("status", "message"), [(504, "timeout"), (502, "bad gateway"), (500, "etcdserver: leader changed")]
)
def test_a_write_that_the_server_gave_up_waiting_for_has_an_unknown_outcome_and_a_read_has_none(
    status: int, message: str
) -> None:
    body = json.dumps({"message": message}).encode()
    assert type(error(status, body, "x", writing=True)) is UnknownOutcomeError
    assert type(error(status, body, "x", writing=False)) is BusyError


def test_retry_after_is_taken_from_the_header_or_else_from_the_body() -> None:
    body = b'{"message": "m", "details": {"retryAfterSeconds": 3}}'
    for header, seconds in (("2", 2.0), (None, 3.0), ("soon", 3.0)):
        found = error(429, body, "x", writing=True, retry_after=header)
        assert isinstance(found, BusyError)
        assert found.retry_after_s == seconds


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"message": 3, "details": []}', b"\xff\xfe"])
def test_an_answer_that_is_no_status_is_an_error_of_one_line_all_the_same(body: bytes) -> None:
    found = error(503, body, "x", writing=False)
    assert isinstance(found, BusyError)
    assert "\n" not in str(found)
    assert "(503)" in str(found)


def test_a_watch_line_is_an_event_and_an_error_event_is_raised() -> None:
    line = b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"3"}}}'
    assert event(line, "x") == KubeEvent("ADDED", {"metadata": {"resourceVersion": "3"}})
    with pytest.raises(GoneError, match="too old"):
        event(b'{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old resource version"}}', "x")
    with pytest.raises(BusyError, match="internal"):
        event(b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"internal"}}', "x")


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":{"metadata":{}}}',
        b'{"type":"ERROR","object":null}',
        b"\xff",
    ],
)
def test_a_watch_line_that_is_no_event_is_an_error(line: bytes) -> None:
    with pytest.raises(BusyError):
        event(line, "x")


def test_paths() -> None:
    assert path(ENDPOINT_SLICES, "vm", "o") == "/apis/discovery.k8s.io/v1/namespaces/vm/endpointslices/o"
    assert path(ENDPOINT_SLICES, None) == "/apis/discovery.k8s.io/v1/endpointslices"
    assert path(NAMESPACES, "vm", "vm") == "/api/v1/namespaces/vm"


def test_the_end_of_a_token_is_read_where_it_says_one() -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 1_800_000_000}).encode()).rstrip(b"=").decode()
    assert expiry_of(f"x.{claims}.y") == 1_800_000_000.0
    for token in ("", "opaque", "a.b.c", "x..y", f"x.{base64.urlsafe_b64encode(b'[]').decode()}.y"):
        assert expiry_of(token) is None
