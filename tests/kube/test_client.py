"""The client against an API server that does as it is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web

from netctl.model.kube import (
    ENDPOINT_SLICES,
    LEASES,
    SERVICES,
    BusyError,
    GoneError,
    UnknownOutcomeError,
    UnreachableError,
)
from tests.kube.stub import Stub, status, stub

OBJ = {"metadata": {"name": "orders", "resourceVersion": "5"}}


async def hang(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def test_too_many_requests_says_when_to_come_again(tmp_path: Path) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return status(429, "slow down", **{"Retry-After": "7"})

    async with stub(tmp_path, answer) as server:
        api = server.open()
        with pytest.raises(BusyError, match="slow down") as caught:
            await api.replace(SERVICES, "vm", OBJ)
        assert (caught.value.status, caught.value.retry_after_s) == (429, 7.0)
        assert len(server.requests) == 1
        await api.close()


async def test_a_write_without_an_answer_has_an_unknown_outcome_and_is_sent_once(tmp_path: Path) -> None:
    async with stub(tmp_path, hang) as server:
        api = server.open()
        with pytest.raises(UnknownOutcomeError, match="may have been done"):
            await api.create(SERVICES, "vm", OBJ)
        with pytest.raises(UnreachableError):
            await api.get(SERVICES, "vm", "orders")
        assert len(server.requests) == 2
        await api.close()


async def test_a_connection_that_breaks_in_the_answer_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"metadata":')
        assert request.transport is not None
        request.transport.abort()
        return response

    async with stub(tmp_path, answer) as server:
        api = server.open()
        with pytest.raises(UnknownOutcomeError):
            await api.create(SERVICES, "vm", OBJ)
        await api.close()


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"metadata":'])
async def test_an_answer_that_is_no_object_is_an_error(tmp_path: Path, body: str) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=body)

    async with stub(tmp_path, answer) as server:
        api = server.open()
        with pytest.raises(UnreachableError):
            await api.get(SERVICES, "vm", "orders")
        with pytest.raises(UnknownOutcomeError):
            await api.replace(SERVICES, "vm", OBJ)
        await api.close()


async def test_nobody_at_the_port_is_unreachable_and_nothing_was_written(tmp_path: Path) -> None:
    async with stub(tmp_path, hang) as server:
        pass
    api = server.open()
    with pytest.raises(UnreachableError, match=r"cluster a: http://127\.0\.0\.1:.* refuses connections"):
        await api.create(SERVICES, "vm", OBJ)
    await api.close()


async def test_leases_do_not_wait_behind_a_crowd_of_other_writes(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(OBJ) if "leases" in request.path else await hang(request)

    async with stub(tmp_path, answer) as server:
        api = server.open()
        crowd = [asyncio.create_task(api.create(SERVICES, "vm", OBJ)) for _ in range(200)]
        await asyncio.sleep(0)
        assert await api.replace(LEASES, "vm", OBJ) == OBJ
        assert not any(task.done() for task in crowd)
        for task in crowd:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        await api.close()


async def test_a_list_whose_version_was_compacted_between_pages_starts_over(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query.get("continue") and len(server.requests) < 5:
            return status(410, "expired")
        meta = {"resourceVersion": str(len(server.requests)), "continue": ""}
        if not request.query.get("continue"):
            meta["continue"] = "next"
        return web.json_response({"metadata": meta, "items": [{"metadata": {"name": str(len(server.requests))}}]})

    async with stub(tmp_path, answer) as server:
        api = server.open()
        found = await api.list(SERVICES, "vm", "a=b")
        assert [item["metadata"]["name"] for item in found.items] == ["5", "6"]
        assert server.requests[0][1] == "/api/v1/namespaces/vm/services?labelSelector=a%3Db&limit=500"
        await api.close()


async def test_a_list_that_never_gets_through_by_pages_is_asked_for_at_once(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query.get("continue"):
            return status(410, "expired")
        more = "next" if "limit" in request.query else ""
        return web.json_response({"metadata": {"resourceVersion": "9", "continue": more}, "items": None})

    async with stub(tmp_path, answer) as server:
        api = server.open()
        assert (await api.list(SERVICES, "vm")).items == []
        assert server.requests[-1][1] == "/api/v1/namespaces/vm/services"
        await api.close()


# --- watches ---


def line(name: str, version: int, **fields: object) -> bytes:
    meta = {"name": name, "resourceVersion": str(version)}
    return json.dumps({"type": "ADDED", "object": {"metadata": meta, **fields}}).encode() + b"\n"


def watched(server: Stub) -> str:
    return server.requests[-1][1]


async def test_a_watch_reads_lines_of_any_length_until_the_server_ends_it(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(line("one", 6) + line("two", 7)[:20])
        await response.write(line("two", 7)[20:] + line("big", 8, text="x" * 5_000_000))
        return response

    async with stub(tmp_path, answer) as server:
        api = server.open()
        events = [event async for event in api.watch(ENDPOINT_SLICES, "vm", "5", "a=b")]
        assert [event.object["metadata"]["name"] for event in events] == ["one", "two", "big"]
        assert "resourceVersion=5" in watched(server)
        assert "allowWatchBookmarks=true" in watched(server)
        assert "labelSelector=a%3Db" in watched(server)
        await api.close()


async def test_a_watch_that_brings_not_even_its_end_is_given_up(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(line("one", 6))
        await asyncio.sleep(30)
        return response

    async with stub(tmp_path, answer) as server:
        api = server.open()
        events = api.watch(ENDPOINT_SLICES, "vm", "5")
        assert (await anext(events)).object["metadata"]["name"] == "one"
        with pytest.raises(UnreachableError, match="neither anything nor its end"):
            await anext(events)
        await api.close()


async def test_a_version_that_is_too_old_is_gone_whether_by_status_or_by_event(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if len(server.requests) == 1:
            return status(410, "too old")
        return web.Response(text='{"type":"ERROR","object":{"code":410,"message":"too old"}}\n')

    async with stub(tmp_path, answer) as server:
        api = server.open()
        for _ in range(2):
            with pytest.raises(GoneError, match="too old"):
                await anext(api.watch(ENDPOINT_SLICES, "vm", "5"))
        await api.close()


async def test_a_watch_whose_connection_breaks_says_so(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(line("one", 6))
        assert request.transport is not None
        request.transport.abort()
        return response

    async with stub(tmp_path, answer) as server:
        api = server.open()
        events = api.watch(ENDPOINT_SLICES, "vm", "5")
        assert (await anext(events)).object["metadata"]["name"] == "one"
        with pytest.raises(UnreachableError, match="broke"):
            await anext(events)
        await api.close()
