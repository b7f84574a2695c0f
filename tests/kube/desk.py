"""Lease machines on one cluster that answers at once."""

from __future__ import annotations

import pytest

from netctl.kube.fake import FakeKube
from netctl.kube.lease import LeaseAction, LeaseMachine
from netctl.model.clock import MS, SECOND, FakeClock
from netctl.model.kube import LEASES, KubeError, NotFoundError, Obj

DURATION_NS = 3 * SECOND


class Desk:
    """One cluster, in which machines get their answers at once."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.kube = FakeKube(wall=self.clock.wall)
        self.kube.add_namespace("vm")

    def machine(self, identity: str) -> LeaseMachine:
        return LeaseMachine(identity, DURATION_NS)

    def now_ns(self) -> int:
        return self.clock.monotonic_ns()

    def do(self, machine: LeaseMachine, action: LeaseAction) -> None:
        machine.sent(action, self.now_ns())
        try:
            answer = answered(self.kube, machine, action)
        except KubeError as error:
            machine.refused(error, self.now_ns())
        else:
            tell(machine, action, answer, self.now_ns())

    def step(self, *machines: LeaseMachine) -> None:
        """Until none of them has anything to do now."""
        for machine in machines:
            for _ in range(5):
                action = machine.due(self.now_ns(), self.clock.wall())
                if action is None:
                    break
                self.do(machine, action)
            else:
                pytest.fail("it never has enough")

    def run(self, duration_ns: int, *machines: LeaseMachine) -> None:
        """Let time pass, each machine being called when it wants to."""
        end_ns = self.now_ns() + duration_ns
        while True:
            self.step(*machines)
            timers = [timer for machine in machines if (timer := machine.next_timer()) is not None]
            next_ns = max(min([*timers, end_ns]), self.now_ns() + MS)
            if next_ns >= end_ns:
                self.clock.advance(end_ns - self.now_ns())
                return
            self.clock.advance(next_ns - self.now_ns())

    def lease(self) -> Obj:
        return self.kube.get(LEASES, "vm", "netctl-controller")

    def writes(self, machine: LeaseMachine) -> bool:
        return machine.may_write(self.now_ns())


def answered(kube: FakeKube, machine: LeaseMachine, action: LeaseAction) -> Obj | None:
    if action.object is None:
        try:
            return kube.get(LEASES, "vm", machine.name)
        except NotFoundError:
            return None
    store = kube.create if action.verb == "create" else kube.replace
    return store(LEASES, "vm", action.object)


def tell(machine: LeaseMachine, action: LeaseAction, answer: Obj | None, now_ns: int) -> None:
    if action.object is None or answer is None:
        machine.observe(answer, now_ns)
    else:
        machine.granted(answer, now_ns)
