"""Verdicts of checkers become readiness, and corroborate what a registry says."""

from __future__ import annotations

from tests.controller.real_site import RealSite
from tests.controller.running import TestChecker, guards, on_loopback, until

BOTH = {"10.1.1.10": True, "10.1.2.10": True}


async def register(site: RealSite) -> None:
    for number in (1, 2):
        await site.put("orders", f"a-vm{number}", f"10.1.{number}.10")
    await site.put("orders", "b-vm1", "10.2.1.10", "b")


async def test_an_instance_that_fails_leaves_the_answers_and_comes_back(site: RealSite) -> None:
    await register(site)
    async with site.controller(checkers=on_loopback()) as controller, TestChecker(controller.settings, "a") as checker:
        await controller.steady()
        await checker.says("orders", "a-vm1", passing=False)
        await site.ready("a", "orders", "10.1.2.10")
        assert site.answers("a", "orders") == {"10.1.1.10": False, "10.1.2.10": True}
        (failing,) = controller.status()["failing"]
        assert (failing["service"], failing["instance"], failing["detail"]) == ("orders", "a-vm1", "refused")
        await checker.says("orders", "a-vm1", passing=True)
        await site.ready("a", "orders", *BOTH)


async def test_where_none_can_serve_the_other_cloud_answers_and_where_none_can_anywhere_all_do(site: RealSite) -> None:
    await register(site)
    async with (
        site.controller(checkers=on_loopback()) as controller,
        TestChecker(controller.settings, "a") as a_checker,
        TestChecker(controller.settings, "b") as b_checker,
    ):
        await controller.steady()
        await a_checker.says("orders", "a-vm1", passing=False)
        await a_checker.says("orders", "a-vm2", passing=False)
        await site.ready("a", "orders", "10.2.1.10")
        await b_checker.says("orders", "b-vm1", passing=False)
        await site.ready("a", "orders", *BOTH)
        await site.ready("b", "orders", "10.2.1.10")
        assert controller.status()["panic"] == ["orders"]
        await a_checker.says("orders", "a-vm2", passing=True)
        await site.ready("a", "orders", "10.1.2.10")
        await site.ready("b", "orders", "10.1.2.10")
        assert controller.status()["panic"] == []


async def test_the_verdict_of_a_checker_that_left_stands_also_over_a_restart_of_the_controller(site: RealSite) -> None:
    await register(site)
    listen = on_loopback()
    async with site.controller(checkers=listen) as controller:
        await controller.steady()
        async with TestChecker(controller.settings, "a") as checker:
            await checker.says("orders", "a-vm1", passing=False)
            await site.ready("a", "orders", "10.1.2.10")
        await until(lambda: not controller.status()["checkers"][0]["connected"], 5)
        await controller.steady()
        assert site.answers("a", "orders") == {"10.1.1.10": False, "10.1.2.10": True}
    before = site.versions()
    async with site.controller(checkers=listen) as controller:
        await controller.steady()
        assert site.versions() == before
        async with TestChecker(controller.settings, "a") as checker:
            await checker.says("orders", "a-vm2", passing=True)
            await controller.steady()
            assert site.versions() == before  # nothing was said of a-vm1 yet
            await checker.says("orders", "a-vm1", passing=True)
            await site.ready("a", "orders", *BOTH)


async def test_of_a_wiped_registry_those_that_checks_call_dead_leave_the_answers(site: RealSite) -> None:
    await register(site)
    async with site.controller(checkers=on_loopback()) as controller, TestChecker(controller.settings, "a") as checker:
        await controller.steady()
        await site.wipe()
        await until(lambda: controller.status()["holds"], 5)
        assert len(controller.status()["holds"][0]["instances"]) == 3
        assert ("orders", "a-vm1") in checker.targets  # held ones are checked
        await checker.says("orders", "a-vm1", passing=False)
        await until(lambda: site.answers("a", "orders") == {"10.1.1.10": False, "10.1.2.10": True}, 5)
        assert ("orders", "a-vm1") in checker.targets  # it may have been the checker that was cut off
        await checker.says("orders", "a-vm1", passing=True)
        await site.ready("a", "orders", *BOTH)


async def test_a_checker_of_a_cloud_that_is_not_here_is_refused(site: RealSite) -> None:
    async with site.controller(checkers=on_loopback()) as controller, TestChecker(controller.settings, "nowhere"):
        await until(lambda: controller.status()["clients_refused"] == {"checker_of_unknown_cloud": 1}, 5)
        assert controller.status()["checkers"] == []


async def test_more_removals_than_the_budget_has_wait_for_room_or_for_an_operator(site: RealSite) -> None:
    for number in range(1, 11):
        await site.put("orders", f"a-vm{number}", f"10.1.{number}.10")
    await site.put("orders", "b-vm1", "10.2.1.10", "b")
    async with site.controller(guards=guards(max_shrink=1.0, removals=((60, 3), (3600, 5)))) as controller:
        await controller.steady()
        for number in range(1, 4):
            await site.delete(f"orders/a-vm{number}")
        await until(lambda: len(site.answers("a", "orders")) == 7, 5)
        await site.delete("orders/a-vm4")
        await until(lambda: controller.status()["holds"], 5)
        (hold,) = controller.status()["holds"]
        assert (hold["kind"], hold["cluster"], hold["instances"]) == ("budget", "a", ["a-vm4"])
        assert "3 of 3 in 60 s are used" in hold["reason"]
        await site.put("orders", "a-vm11", "10.1.11.10")  # nothing else waits
        await until(lambda: site.answers("a", "orders").get("10.1.11.10"), 5)
        assert site.answers("a", "orders")["10.1.4.10"]
    async with site.controller(guards=guards(max_shrink=1.0, removals=((60, 3), (3600, 5)))) as controller:
        await controller.steady()  # a restart refunds nothing
        (hold,) = controller.status()["holds"]
        assert site.answers("a", "orders")["10.1.4.10"]
        await controller.ask("approve", hold["id"])
        await until(lambda: "10.1.4.10" not in site.answers("a", "orders"), 5)
        assert controller.status()["holds"] == []
