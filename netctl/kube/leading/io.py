"""Get a Lease, keep it, and give it back: ``LeaseMachine`` on an API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from netctl.kube.lease import LeaseAction, LeaseMachine
from netctl.model.clock import SECOND, Clock
from netctl.model.kube import LEASES, KubeError, NotFoundError, Obj, UnknownOutcomeError
from netctl.model.ports import KubeApi


async def keep_lease(
    api: KubeApi, namespace: str, machine: LeaseMachine, clock: Clock, changed: Callable[[], None]
) -> None:
    """Runs until it is cancelled; then ``release_lease``. ``changed`` is called when leading, holder, epoch, whether
    one may write, or the problem is another than at the last call."""
    told: tuple[object, ...] = ()
    while True:
        now_ns = clock.monotonic_ns()
        action = machine.due(now_ns, clock.wall())
        if action is not None:
            await _ask(api, namespace, machine, clock, action)
        may_write = machine.may_write(clock.monotonic_ns())
        state = (machine.leading, machine.holder, machine.epoch, may_write, machine.problem)
        if state != told:
            told = state
            changed()
        timer_ns = machine.next_timer()
        if timer_ns is None:
            return
        await asyncio.sleep(max(0, timer_ns - clock.monotonic_ns()) / SECOND)


async def release_lease(api: KubeApi, namespace: str, machine: LeaseMachine, clock: Clock) -> None:
    """After ``keep_lease`` was cancelled: let another lead at once. Where it cannot be told it will expire."""
    action = machine.release(clock.monotonic_ns(), clock.wall())
    if action is not None:
        await _ask(api, namespace, machine, clock, action)


async def _ask(api: KubeApi, namespace: str, machine: LeaseMachine, clock: Clock, action: LeaseAction) -> None:
    """One request, of which no more is awaited than a third of a Lease: time for another one before its end."""
    machine.sent(action, clock.monotonic_ns())
    answer: Obj | None = None
    try:
        async with asyncio.timeout(machine.patience_s):
            if action.object is None:
                with suppress(NotFoundError):
                    answer = await api.get(LEASES, namespace, machine.name)
            elif action.verb == "create":
                answer = await api.create(LEASES, namespace, action.object)
            else:
                answer = await api.replace(LEASES, namespace, action.object)
    except TimeoutError:
        error = UnknownOutcomeError(f"Lease {namespace}/{machine.name}: no answer within {machine.patience_s:g} s")
        machine.refused(error, clock.monotonic_ns())
    except KubeError as error:
        machine.refused(error, clock.monotonic_ns())
    else:
        if action.object is None or answer is None:
            machine.observe(answer, clock.monotonic_ns())
        else:
            machine.granted(answer, clock.monotonic_ns())
