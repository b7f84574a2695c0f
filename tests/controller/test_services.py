"""What is served of a service, what lets go of it, and what is remembered of those that went."""

from __future__ import annotations

import json
from collections.abc import Iterable

from netctl.controller.health import LASTING_NS, Health
from netctl.controller.services import Services
from netctl.guard.shrink import ShrinkGuard
from netctl.ipc.messages import Verdict, Verdicts
from netctl.model.clock import SECOND
from netctl.model.controller import EtcdSource, ServiceCheck, SourceSettings
from netctl.model.ports import Changed, Listed
from netctl.names.catalog import Merger

NAMES = ("vm1", "vm2", "vm3", "vm4")


class Orders:
    """One service of four instances in cloud a, and one checker."""

    def __init__(self) -> None:
        self.merger = Merger([SourceSettings("vms", etcd=EtcdSource(("http://fake",), "/vm/"))], ["a"])
        self.health = Health(["a"])
        self.services = Services(self.merger, ShrinkGuard(0.3), self.health)
        entries = {
            f"orders/{name}": json.dumps({"address": self.address(name), "ports": {"http": 80}, "cloud": "a"}).encode()
            for name in NAMES
        }
        self.merger.take("vms", Listed(entries, 1))
        self.judge(0)
        self.health.came(1, "a", "checker", 0.0)
        self.says(NAMES, passing=True, now_ns=0)

    @staticmethod
    def address(name: str) -> str:
        return f"10.1.1.{name[2:]}"

    def judge(self, now_ns: int) -> set[str]:
        """As the controller does with a service that was touched; returns who is served."""
        self.health.judge("orders", self.services.instances("orders"), now_ns)
        self.services.judge("orders", now_ns, 0.0, removable=True)
        self.health.check("orders", self.services.instances("orders"), ServiceCheck("tcp"))
        return set(self.services.instances("orders"))

    def says(self, names: Iterable[str], *, passing: bool, now_ns: int) -> set[str]:
        found = [Verdict("orders", n, passing=passing, for_target=f"{self.address(n)}:80", detail="") for n in names]
        self.health.said(1, Verdicts(tuple(found)), now_ns)
        return self.judge(now_ns)

    def wiped(self, now_ns: int) -> set[str]:
        self.merger.take("vms", Changed({}, frozenset(f"orders/{name}" for name in NAMES), 2))
        return self.judge(now_ns)

    def passes(self, until_ns: int) -> set[str]:
        """Time alone: the timer is heeded whenever it is due."""
        while (due_ns := self.health.next_timer()) is not None and due_ns <= until_ns:
            if self.health.expire(due_ns):
                self.judge(due_ns)
        return set(self.services.instances("orders"))


def test_what_a_wiped_registry_lost_goes_when_it_has_failed_for_a_minute_and_not_before() -> None:
    orders = Orders()
    orders.wiped(SECOND)
    orders.says(["vm1", "vm2"], passing=False, now_ns=2 * SECOND)
    assert orders.health.ready["orders", "vm1"] is False  # it is answered no more
    assert orders.passes(LASTING_NS + SECOND) == set(NAMES)
    assert orders.passes(LASTING_NS + 2 * SECOND) == {"vm3", "vm4"}
    assert orders.services.hold("orders") is not None


def test_checkers_that_are_cut_off_for_a_moment_finish_no_wipe() -> None:
    orders = Orders()
    orders.wiped(SECOND)
    orders.says(NAMES, passing=False, now_ns=2 * SECOND)
    orders.passes(5 * SECOND)
    assert orders.says(NAMES, passing=True, now_ns=5 * SECOND) == set(NAMES)
    assert orders.passes(10 * LASTING_NS) == set(NAMES)


def test_a_checker_that_sees_nothing_at_all_corroborates_nothing_however_long() -> None:
    orders = Orders()
    orders.wiped(SECOND)
    orders.says(NAMES, passing=False, now_ns=2 * SECOND)
    assert orders.passes(10 * LASTING_NS) == set(NAMES)
    assert orders.says(["vm4"], passing=True, now_ns=10 * LASTING_NS + 1) == set(NAMES)
    assert orders.passes(11 * LASTING_NS) == set(NAMES)
    assert orders.passes(11 * LASTING_NS + 2 * SECOND) == {"vm4"}  # for a minute it has seen what passes, and them not


def test_while_the_others_fail_the_one_that_can_serve_is_not_let_go() -> None:
    orders = Orders()
    orders.says(["vm1", "vm2", "vm3"], passing=False, now_ns=SECOND)
    orders.merger.take("vms", Changed({}, frozenset({"orders/vm4"}), 2))
    assert orders.judge(2 * SECOND) == set(NAMES)


def test_the_dead_that_have_left_every_cluster_are_forgotten() -> None:
    orders = Orders()
    orders.wiped(SECOND)
    orders.says(["vm1", "vm2"], passing=False, now_ns=2 * SECOND)
    orders.passes(2 * LASTING_NS)
    services = orders.services
    assert set(services.corroborated("orders")) == {"vm1", "vm2"}
    services.settled("orders", {"vm2", "vm3"})
    assert set(services.corroborated("orders")) == {"vm2"}
    services.settled("orders", {"vm3"})
    assert not services.corroborated("orders")
