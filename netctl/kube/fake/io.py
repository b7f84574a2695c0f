"""One client's way to a ``FakeKube``, with everything that can happen on it. Runs on any asyncio loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec

from netctl.kube import answers
from netctl.kube.fake.store import Change, FakeKube
from netctl.model.kube import (
    InvalidError,
    KubeError,
    KubeEvent,
    KubeList,
    Obj,
    Resource,
    UnknownOutcomeError,
    UnreachableError,
)

T = TypeVar("T")


@dataclass
class Faults:
    """What is wrong on the way. Change it by ``FakeKubeApi.disturb``."""

    unreachable: bool = False
    """Connections are refused, and those of watches break."""
    silent: bool = False
    """Nothing comes through, and nobody says so: requests end by their time limit, watches just bring nothing."""
    status: int = 0
    """Every request is answered with it (429, 500, 503, 403, …) and does nothing; 0: none of that."""
    retry_after_s: float = 0.0
    delay_s: float = 0.0
    """Each way, request and answer."""
    late_s: float | None = None
    """Writes are stored that much later than they arrive; with more than the client's patience (``request_s``) their
    outcome is unknown to it."""


class FakeKubeApi:
    """``netctl.model.ports.KubeApi`` on a FakeKube. ``user`` is named in each Change; ``request_s``: the patience."""

    def __init__(self, kube: FakeKube, user: str = "", *, request_s: float = 5.0) -> None:
        self.faults = Faults()
        self._kube = kube
        self._user = user
        self._request_s = request_s
        self._watches: dict[_Watch, None] = {}
        """In order: what befalls them all befalls the oldest first."""
        self._closed = False

    def disturb(self, faults: Faults) -> None:
        """These faults from now on, and no others; ``Faults()`` ends them."""
        was_silent = self.faults.silent
        self.faults = faults
        if faults.unreachable or (was_silent and not faults.silent):
            for watch in [*self._watches]:
                watch.break_off(self._unreachable("the connection broke"))

    async def list(self, resource: Resource, namespace: str | None, selector: str = "") -> KubeList:
        return await self._ask(lambda: self._kube.list(resource, namespace, selector))

    async def watch(
        self, resource: Resource, namespace: str | None, resource_version: str, selector: str = ""
    ) -> AsyncIterator[KubeEvent]:
        watch = _Watch(lambda change: change.seen_by(resource, namespace, selector), lambda: self.faults)
        stop = await self._ask(lambda: self._kube.watch(resource_version, watch.take))
        self._watches[watch] = None
        try:
            while (event := await watch.next()) is not None:
                yield event
        finally:
            stop()
            self._watches.pop(watch, None)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Obj:
        return await self._ask(lambda: self._kube.get(resource, namespace, name))

    async def create(self, resource: Resource, namespace: str | None, obj: Obj) -> Obj:
        copy = _copy(obj)
        return await self._ask(lambda: self._kube.create(resource, namespace, copy, self._user), writing=True)

    async def replace(self, resource: Resource, namespace: str | None, obj: Obj) -> Obj:
        copy = _copy(obj)
        if not copy["metadata"].get("resourceVersion"):
            raise InvalidError(f"{self._kube.name}: replace without resourceVersion would overwrite anything", 422)
        return await self._ask(lambda: self._kube.replace(resource, namespace, copy, self._user), writing=True)

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, *, uid: str, resource_version: str
    ) -> None:
        def apply() -> None:
            self._kube.delete(resource, namespace, name, uid=uid, resource_version=resource_version, user=self._user)

        await self._ask(apply, writing=True)

    async def close(self) -> None:
        self._closed = True
        for watch in [*self._watches]:
            watch.break_off(self._unreachable("closed"))

    async def _ask(self, apply: Callable[[], T], *, writing: bool = False) -> T:
        """One request: it travels, is done (whatever has become of the asker), and its answer travels back."""
        faults = self.faults
        if self._closed or faults.unreachable:
            await asyncio.sleep(0)
            raise self._unreachable("closed" if self._closed else "connection refused")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def arrive() -> None:
            if self.faults.silent:
                return
            try:
                if faults.status:
                    raise self._refusal(faults, writing)
                _later(loop, faults.delay_s, partial(_settle, answer.set_result, apply(), answer))
            except KubeError as error:
                _later(loop, faults.delay_s, partial(_settle, answer.set_exception, error, answer))

        late_s = faults.late_s if faults.late_s is not None and writing else 0.0
        if not faults.silent:
            _later(loop, faults.delay_s + late_s, arrive)
        try:
            async with asyncio.timeout(self._request_s):
                return await answer
        except TimeoutError:
            text = f"{self._kube.name}: no answer within {self._request_s:g} s"
            raise UnknownOutcomeError(text) if writing else UnreachableError(text) from None

    def _refusal(self, faults: Faults, writing: bool) -> KubeError:
        body = b'{"message": "injected"}'
        retry_after = str(faults.retry_after_s)
        return answers.error(faults.status, body, self._kube.name, writing=writing, retry_after=retry_after)

    def _unreachable(self, reason: str) -> UnreachableError:
        return UnreachableError(f"{self._kube.name}: {reason}")


class _Watch:
    """What has come for one watch and was not taken yet."""

    def __init__(self, seen: Callable[[Change], KubeEvent | None], faults: Callable[[], Faults]) -> None:
        self._seen = seen
        self._faults = faults
        self._waiting: deque[KubeEvent | KubeError | None] = deque()
        self._wake: asyncio.Future[None] | None = None

    def take(self, what: Change | KubeEvent | None) -> None:
        if self._faults().silent:
            return
        event = self._seen(what) if isinstance(what, Change) else what
        if event is not None or what is None:
            self._put(event)

    def break_off(self, error: KubeError) -> None:
        self._put(error)

    def _put(self, what: KubeEvent | KubeError | None) -> None:
        self._waiting.append(what)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def next(self) -> KubeEvent | None:
        delay_s = self._faults().delay_s
        if delay_s:
            await asyncio.sleep(delay_s)
        while not self._waiting:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        what = self._waiting.popleft()
        if isinstance(what, KubeError):
            raise what
        return what


def _settle(settle: Callable[[T], None], outcome: T, answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        settle(outcome)


def _later(loop: asyncio.AbstractEventLoop, delay_s: float, do: Callable[[], object]) -> None:
    """In a context of its own: what is on its way arrives, also when the program that sent it has died."""
    loop.call_later(delay_s, do, context=Context())


def _copy(obj: Obj) -> Obj:
    """As it is sent: what the caller changes afterwards does not matter."""
    copy: Obj = msgspec.json.decode(msgspec.json.encode(obj))
    return copy
