"""What is known of a cluster: answers and watches tell of the same objects, in any order."""

from __future__ import annotations

from typing import Any, Literal

from netctl.controller.observed import Observed, writer_of
from netctl.model.kube import ENDPOINT_SLICES, SERVICES, KubeEvent, Obj


def slice_(version: int, name: str = "orders-netctl-1", service: str = "orders", **fields: Any) -> Obj:
    labels = {"kubernetes.io/service-name": service}
    return {"metadata": {"name": name, "resourceVersion": str(version), "labels": labels}, **fields}


def event(kind: Literal["ADDED", "MODIFIED", "DELETED"], obj: Obj) -> KubeEvent:
    return KubeEvent(kind, obj)


def test_the_echo_of_our_own_write_and_what_was_on_its_way_before_it_tell_nothing_new() -> None:
    observed = Observed()
    observed.relist(ENDPOINT_SLICES, [slice_(5)], "9")
    observed.stored(ENDPOINT_SLICES, slice_(12, mine=True))
    assert observed.take(ENDPOINT_SLICES, event("MODIFIED", slice_(11))) == []
    assert observed.take(ENDPOINT_SLICES, event("MODIFIED", slice_(12))) == []
    assert observed.slices("orders") == [slice_(12, mine=True)]
    assert observed.take(ENDPOINT_SLICES, event("MODIFIED", slice_(13))) == [("orders", "orders-netctl-1")]


def test_what_we_deleted_does_not_come_back_by_an_event_from_before() -> None:
    observed = Observed()
    observed.relist(ENDPOINT_SLICES, [slice_(5)], "9")
    observed.deleted(ENDPOINT_SLICES, "orders-netctl-1")
    assert observed.take(ENDPOINT_SLICES, event("MODIFIED", slice_(5))) == []
    assert observed.take(ENDPOINT_SLICES, event("DELETED", slice_(10))) == []
    assert observed.slices("orders") == []
    assert observed.take(ENDPOINT_SLICES, event("ADDED", slice_(11))) == [("orders", "orders-netctl-1")]


def test_a_late_deletion_of_an_earlier_object_takes_nothing_from_its_successor() -> None:
    observed = Observed()
    observed.relist(ENDPOINT_SLICES, [slice_(5)], "9")
    observed.deleted(ENDPOINT_SLICES, "orders-netctl-1")
    observed.stored(ENDPOINT_SLICES, slice_(20))
    assert observed.take(ENDPOINT_SLICES, event("DELETED", slice_(10))) == []
    assert observed.slices("orders") == [slice_(20)]


def test_a_list_that_is_older_than_what_we_know_is_not_believed_but_has_it_read_again() -> None:
    observed = Observed()
    observed.relist(ENDPOINT_SLICES, [slice_(5)], "9")
    observed.stored(ENDPOINT_SLICES, slice_(12))
    changes, doubtful = observed.relist(ENDPOINT_SLICES, [slice_(5), slice_(7, "orders-netctl-2")], "10")
    assert changes == [("orders", "orders-netctl-2")]
    assert doubtful == [("orders", "orders-netctl-1")]
    assert observed.read(ENDPOINT_SLICES, "orders-netctl-1", slice_(5)) == [("orders", "orders-netctl-1")]


def test_after_a_restored_backup_only_the_list_counts() -> None:
    observed = Observed()
    observed.relist(ENDPOINT_SLICES, [slice_(50), slice_(60, "orders-netctl-2")], "70")
    changes, doubtful = observed.relist(ENDPOINT_SLICES, [slice_(5)], "10", restored=True)
    assert sorted(changes) == [("orders", "orders-netctl-1"), ("orders", "orders-netctl-2")]
    assert doubtful == []
    assert observed.slices("orders") == [slice_(5)]


def test_a_deletion_of_ours_is_nothing_to_go_by_after_a_restored_backup() -> None:
    observed = Observed()
    observed.relist(ENDPOINT_SLICES, [slice_(90)], "90")
    observed.deleted(ENDPOINT_SLICES, "orders-netctl-1")
    observed.relist(ENDPOINT_SLICES, [], "40", restored=True)
    assert observed.take(ENDPOINT_SLICES, event("ADDED", slice_(41))) == [("orders", "orders-netctl-1")]


def test_a_slice_that_moves_to_another_service_concerns_both() -> None:
    observed = Observed()
    observed.relist(ENDPOINT_SLICES, [slice_(5, "by-hand")], "9")
    changes = observed.take(ENDPOINT_SLICES, event("MODIFIED", slice_(10, "by-hand", "ledger")))
    assert sorted(changes) == [("ledger", "by-hand"), ("orders", "by-hand")]
    assert observed.slices("orders") == []


def test_it_is_complete_once_both_kinds_were_listed() -> None:
    observed = Observed()
    observed.relist(SERVICES, [], "1")
    assert not observed.complete
    observed.relist(ENDPOINT_SLICES, [], "1")
    assert observed.complete


def test_who_changed_an_object_last_is_read_from_its_managed_fields_and_never_is_netctl() -> None:
    fields = [
        {"manager": "kubectl-edit", "time": "2026-01-01T00:00:01Z"},
        {"manager": "helm", "time": "2026-01-01T00:00:00Z"},
        {"manager": "netctl", "time": "2026-01-01T00:00:02Z"},
    ]
    assert writer_of({"metadata": {"managedFields": fields}}) == "kubectl-edit"
    assert writer_of({"metadata": {"managedFields": "nonsense"}}) == ""
    assert writer_of({}) == ""
