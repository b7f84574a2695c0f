"""The merged catalog."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from netctl.model.controller import EtcdSource, FileSource, SourceSettings
from netctl.model.ports import Changed, Listed, Lost, RegistryEvent
from netctl.names.catalog import Merger

SOURCES = (
    SourceSettings("vms", etcd=EtcdSource(("http://127.0.0.1:2379",), "/vm/")),
    SourceSettings("legacy", file=FileSource("/vms.yaml"), cloud="b"),
)


def merger() -> Merger:
    return Merger(SOURCES, ("a", "b"), wall=100.0)


def vm(number: int, cloud: str = "a", port: int = 80) -> bytes:
    return json.dumps({"address": f"10.1.0.{number}", "ports": {"http": port}, "cloud": cloud}).encode()


def changed(puts: Mapping[str, bytes] | None = None, *deletes: str, revision: int = 9) -> Changed:
    return Changed(puts or {}, frozenset(deletes), revision)


def addresses(catalog: Merger, service: str = "orders") -> dict[str, str]:
    return {name: one.address for name, one in catalog.instances(service).items()}


def test_only_services_whose_instances_changed_are_touched() -> None:
    catalog = merger()
    entries = {"orders/vm2": vm(2), "orders/vm1": vm(1), "ledger/vm1": vm(1)}
    assert catalog.take("vms", Listed(entries, 1)) == {"orders", "ledger"}
    assert list(catalog.instances("orders")) == ["vm1", "vm2"]
    assert catalog.take("vms", changed({"orders/vm1": vm(1)})) == set()
    assert catalog.take("vms", changed({"orders/vm1": vm(9)})) == {"orders"}
    assert catalog.take("vms", changed(None, "ledger/vm1")) == {"ledger"}
    assert catalog.take("vms", changed(None, "ledger/vm1")) == set()
    assert catalog.instances("ledger") == {}
    assert set(catalog.services()) == {"orders"}
    assert len(catalog.instances("orders")) == 2


def test_a_new_list_is_compared_with_the_old_one() -> None:
    catalog = merger()
    catalog.take("vms", Listed({"orders/vm1": vm(1), "ledger/vm1": vm(1), "web/vm1": vm(1)}, 1))
    touched = catalog.take("vms", Listed({"orders/vm1": vm(1), "ledger/vm1": vm(2), "new/vm1": vm(1)}, 2))
    assert touched == {"ledger", "web", "new"}


def test_an_entry_that_becomes_refused_is_told_once_until_it_can_be_used_again() -> None:
    catalog = merger()

    def refused(source: str, event: RegistryEvent) -> list[tuple[str, str]]:
        catalog.take(source, event)
        return [(one.source, one.key) for one in catalog.refused]

    broken = {"orders/vm1": b"{", "orders/vm2": vm(2)}
    assert refused("vms", Listed(broken, 1)) == [("vms", "orders/vm1")]
    assert refused("vms", changed({"orders/vm1": b"[", "orders/vm3": vm(3)})) == []
    assert refused("vms", Lost("no answer")) == []
    assert refused("vms", Listed(broken, 2)) == []
    assert refused("vms", changed({"orders/vm1": vm(1)})) == []
    assert refused("vms", changed({"orders/vm1": b"{"})) == [("vms", "orders/vm1")]
    assert refused("legacy", Listed({"orders/vm2": vm(8)}, 1)) == [("legacy", "orders/vm2")]
    assert refused("vms", changed({"orders/vm4": vm(4)})) == []


def test_a_source_that_is_lost_keeps_what_it_said() -> None:
    catalog = merger()
    catalog.take("vms", Listed({"orders/vm1": vm(1)}, 1), wall=101.0)
    assert catalog.take("vms", Lost("refuses the connection"), wall=102.0) == set()
    assert catalog.take("vms", Lost("does not answer"), wall=103.0) == set()
    assert addresses(catalog) == {"vm1": "10.1.0.1"}
    state = catalog.state("vms")
    assert (state.state, state.reason, state.since_wall, state.listed) == ("lost", "does not answer", 102.0, True)
    catalog.take("vms", changed(), wall=104.0)
    state = catalog.state("vms")
    assert (state.state, state.reason, state.since_wall) == ("synced", "", 104.0)


def test_nothing_counts_as_listed_before_every_source_was_listed_once() -> None:
    catalog = merger()
    assert catalog.state("vms").state == "starting"
    catalog.take("vms", Listed({}, 1))
    assert not catalog.listed
    catalog.take("legacy", Lost("is missing"))
    assert not catalog.listed
    catalog.take("legacy", Listed({}, 1))
    assert catalog.listed
    catalog.take("vms", Lost("refuses"))
    assert catalog.listed


def test_a_broken_update_leaves_the_last_valid_instance_and_is_shown() -> None:
    catalog = merger()
    catalog.take("vms", Listed({"orders/vm1": vm(1), "orders/vm2": vm(2)}, 1))
    assert catalog.take("vms", changed({"orders/vm1": b"{"})) == set()
    assert addresses(catalog) == {"vm1": "10.1.0.1", "vm2": "10.1.0.2"}
    (skipped,) = catalog.skipped()
    assert skipped.key == "orders/vm1"
    assert skipped.reason.startswith("update refused, the last valid entry stays: the value is not JSON")
    assert catalog.take("vms", Listed({"orders/vm1": b"[]", "orders/vm2": vm(2)}, 3)) == set()
    assert catalog.take("vms", changed({"orders/vm1": vm(7)})) == {"orders"}
    assert catalog.skipped() == []


def test_a_delete_deletes_also_what_was_broken_last() -> None:
    catalog = merger()
    catalog.take("vms", Listed({"orders/vm1": vm(1), "orders/vm2": b"?"}, 1))
    catalog.take("vms", changed({"orders/vm1": b"{"}))
    assert catalog.unreadable("orders", "vm2")
    assert not catalog.unreadable("orders", "vm3")
    assert catalog.take("vms", changed(None, "orders/vm1", "orders/vm2")) == {"orders"}
    assert catalog.skipped() == []
    assert catalog.services() == set()


def test_bad_entries_cost_only_themselves_and_are_counted_by_source() -> None:
    catalog = merger()
    bad = {f"orders/vm{number}": b"\xff" for number in range(200)}
    catalog.take("vms", Listed({**bad, "orders/good": vm(1), "Orders/x": vm(1)}, 1))
    assert addresses(catalog) == {"good": "10.1.0.1"}
    assert len(catalog.skipped(100)) == 100
    assert catalog.skipped_total == 201
    state = catalog.state("vms")
    assert (state.entries, state.skipped) == (202, 201)
    assert len(catalog.skipped_of("orders")) == 200


def test_of_two_sources_with_the_same_instance_the_first_in_the_file_wins_whoever_speaks_first() -> None:
    catalog = merger()
    catalog.take("legacy", Listed({"orders/vm1": vm(5)}, 1))
    assert addresses(catalog) == {"vm1": "10.1.0.5"}
    assert catalog.take("vms", Listed({"orders/vm1": vm(1)}, 1)) == {"orders"}
    assert addresses(catalog) == {"vm1": "10.1.0.1"}
    (skipped,) = catalog.skipped()
    assert (skipped.source, skipped.key) == ("legacy", "orders/vm1")
    assert skipped.reason == "source vms has this instance already and comes first"
    assert catalog.state("legacy").skipped == 1
    assert catalog.take("vms", changed(None, "orders/vm1")) == {"orders"}
    assert addresses(catalog) == {"vm1": "10.1.0.5"}
    assert catalog.skipped() == []
    assert catalog.skipped_total == catalog.state("legacy").skipped == 0


def test_an_entry_that_never_could_be_read_is_news_when_it_comes_and_when_it_goes() -> None:
    catalog = merger()
    assert catalog.take("vms", Listed({"orders/vm1": b"{"}, 1)) == {"orders"}
    assert catalog.unreadable("orders", "vm1")
    assert not catalog.unreadable("orders", "vm2")
    assert catalog.take("vms", changed({"orders/vm1": b"["})) == set()
    assert catalog.take("vms", changed(None, "orders/vm1")) == {"orders"}
    assert not catalog.unreadable("orders", "vm1")


def test_the_same_address_and_port_twice_in_a_service_is_taken_once() -> None:
    catalog = merger()
    entries = {"orders/vm1": vm(1), "orders/vm2": vm(1), "orders/vm3": vm(1, port=81), "ledger/vm1": vm(1)}
    catalog.take("vms", Listed(entries, 1))
    assert set(catalog.instances("orders")) == {"vm1", "vm3"}
    assert set(catalog.instances("ledger")) == {"vm1"}
    (skipped,) = catalog.skipped()
    assert skipped.key == "orders/vm2"
    assert skipped.reason == "10.1.0.1 port 80 is vm1's already (source vms)"


def test_a_revision_that_goes_back_is_said_until_the_next_list() -> None:
    catalog = merger()
    catalog.take("vms", Listed({}, 100))
    catalog.take("vms", Listed({}, 40))
    assert "went back from 100 to 40" in catalog.state("vms").reason
    catalog.take("vms", changed({"orders/vm1": vm(1)}, revision=41))
    assert "went back" in catalog.state("vms").reason
    catalog.take("vms", Listed({}, 42))
    assert catalog.state("vms").reason == ""


def test_each_source_says_what_it_has_of_a_service() -> None:
    catalog = merger()
    catalog.take("vms", Listed({"orders/vm1": vm(1)}, 1))
    catalog.take("legacy", Listed({"orders/vm2": vm(2), "orders/vm3": b""}, 1))
    assert catalog.said("orders") == [("vms", ("vm1",)), ("legacy", ("vm2",))]


def test_a_list_of_100_000_entries_of_which_one_changed_is_merged_quickly() -> None:
    catalog, count = merger(), 100_000
    entries = {
        f"s{number // 20}/vm{number % 20}": json.dumps(
            {"address": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", "ports": {"http": 80}, "cloud": "a"}
        ).encode()
        for number in range(count)
    }
    catalog.take("vms", Listed(entries, 1))
    assert sum(len(catalog.instances(service)) for service in catalog.services()) == count
    again = {**entries, "s7/vm3": vm(250)}
    started = time.process_time()
    assert catalog.take("vms", Listed(again, 2)) == {"s7"}
    assert time.process_time() - started < 0.5
    started = time.process_time()
    for port in range(1, 101):
        catalog.take("vms", changed({"s9/vm3": vm(251, port=port)}))
    assert time.process_time() - started < 0.5


_KEYS = st.sampled_from(["orders/vm1", "orders/vm2", "ledger/vm1", "a/vm1", "bad"])
_VALUES = st.sampled_from([vm(1), vm(2), vm(3), vm(1, port=81), b"{", b""])
_EVENTS: st.SearchStrategy[RegistryEvent] = st.one_of(
    st.builds(Listed, st.dictionaries(_KEYS, _VALUES)),
    st.builds(Changed, st.dictionaries(_KEYS, _VALUES, max_size=2), st.frozensets(_KEYS, max_size=2)),
    st.just(Lost("away")),
)


@given(st.lists(st.tuples(st.sampled_from(["vms", "legacy"]), _EVENTS), max_size=12))
def test_the_catalog_is_what_was_touched_and_in_the_end_what_the_sources_hold(
    events: list[tuple[str, RegistryEvent]],
) -> None:
    catalog = merger()
    before: dict[str, dict[str, str]] = {}
    broken = False
    held: dict[str, dict[str, bytes]] = {"vms": {}, "legacy": {}}
    for source, event in events:
        touched = catalog.take(source, event)
        now = {service: addresses(catalog, service) for service in catalog.services()}
        changed_services = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
        assert changed_services <= touched
        before = now
        skipped = catalog.skipped(1000)
        assert catalog.skipped_total == len(skipped)
        assert catalog.state(source).skipped == sum(one.source == source for one in skipped)
        if isinstance(event, Lost):
            continue
        if isinstance(event, Listed):
            held[source] = dict(event.entries)
        else:
            for key in event.deletes - event.puts.keys():
                held[source].pop(key, None)
            held[source].update(event.puts)
        broken = broken or any(key in held[source] and held[source][key] in {b"{", b""} for key in held[source])
    assert {source: catalog.state(source).entries for source in held} == {s: len(keys) for s, keys in held.items()}
    if not broken:
        fresh = merger()
        for source, entries in held.items():
            fresh.take(source, Listed(entries))
        assert {s: dict(catalog.instances(s)) for s in catalog.services()} == {
            s: dict(fresh.instances(s)) for s in fresh.services()
        }
