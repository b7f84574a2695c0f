"""The FIB under every cut and in every order of events: no path is lost, and all converges."""

from __future__ import annotations

import errno

from hypothesis import given, settings
from hypothesis import strategies as st

from netctl.fib.fake import FakeKernel
from netctl.fib.plan import Fib, step
from netctl.model.routing import (
    DeleteNexthop,
    DeleteRoutes,
    KernelEvent,
    PutGroup,
    PutMember,
    PutRoutes,
)
from tests.fib.nodes import PREFIXES, VIAS, Node, over, put

Change = dict[int, str]
changes = st.dictionaries(st.integers(0, 5), st.sampled_from(["", "a", "b", "c", "ab", "bc", "ac", "abc"]))


@settings(max_examples=150, deadline=None)
@given(st.lists(changes, min_size=2, max_size=4), st.integers(1, 4))
def test_cut_after_any_operation_no_wanted_prefix_loses_its_path_and_a_restart_completes(
    rounds: list[Change], limit: int
) -> None:
    wanted: Change = {}
    kernel = Node().kernel
    for change in rounds:
        goal = wanted | change
        cut = 0
        while True:  # cut this round after each number of operations in turn, starting anew from the same kernel
            trial = FakeKernel(kernel.links().values())
            state = kernel.dump()
            trial.apply([PutMember(identity, via) for identity, via in state.members.items()])
            trial.apply([PutGroup(identity, members) for identity, members in state.groups.items()])
            trial.apply([PutRoutes((prefix,), group) for prefix, group in state.routes.items()])
            node = Node(kernel=trial, fib=Fib())
            whole = _run_cut(node, goal, limit, cut)
            for number, members in goal.items():
                if members and wanted.get(number):
                    assert set(node.via(number)) & set(members + wanted[number])
            again = Node(kernel=trial, fib=Fib())
            _want(again, goal)
            again.fib.sweep()
            again.settle()
            assert {n: again.via(n) for n in goal} == goal
            assert len(trial.nexthops().groups) == len({m for m in goal.values() if m})
            if whole:
                kernel = trial
                break
            cut += 1
        wanted = goal


def _want(node: Node, goal: Change) -> None:
    for number, members in goal.items():
        node.fib.set_route(PREFIXES[number], over(members))


def _run_cut(node: Node, goal: Change, limit: int, cut: int) -> bool:
    """Apply the first ``cut`` operations; whether these were all."""
    _want(node, goal)
    node.fib.sweep()
    done = 0
    while ops := node.fib.pending_ops(limit):
        for op in ops:
            if done == cut:
                return False
            assert node.mine.apply([op]) == []
            done += 1
    return True


def _fault(node: Node, data: st.DataObject, event: str) -> None:
    name = data.draw(st.sampled_from("abc"))
    if event == "forget":
        state = node.kernel.dump()
        things: list[bytes | int] = [*state.routes, *state.groups]
        if things:
            node.kernel.forget(data.draw(st.sampled_from(things)))
    elif event == "link":
        node.kernel.set_link(VIAS[name].interface, data.draw(st.booleans()))
    elif event == "member":
        node.kernel.apply([put(name)])
        node.fib.event(KernelEvent("link"))
    elif event == "refusal":
        kind = data.draw(st.sampled_from([PutGroup, PutRoutes, DeleteRoutes, DeleteNexthop]))
        node.kernel.fail_next(kind, data.draw(st.sampled_from([errno.ENOMEM, errno.EINVAL])))
    else:
        node.fib.event(KernelEvent("overrun"))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_happens_in_whatever_order_the_fib_converges(data: st.DataObject) -> None:
    node = Node()
    node.fib.sweep()
    goal: Change = {}
    for _ in range(data.draw(st.integers(1, 12))):
        event = data.draw(st.sampled_from(["want", "step", "forget", "link", "member", "refusal", "overrun"]))
        if event == "want":
            goal |= data.draw(changes)
            _want(node, goal)
        elif event == "step":
            step(node.fib, node.mine, limit=2)
        else:
            _fault(node, data, event)
    for name in "abc":
        node.kernel.set_link(VIAS[name].interface, True)
    node.kernel.apply([put(name) for name in "abc"])
    for _ in range(13):  # refusals that wait to strike are at most twelve
        node.fib.retry()
        node.settle()
    assert {number: node.via(number) for number in goal} == goal
    assert len(node.kernel.nexthops().groups) == len({members for members in goal.values() if members})
    assert node.fib.counts().programmed == node.fib.counts().wanted
