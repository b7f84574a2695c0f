"""A registry that is wiped, in a real etcd, and what is put back by whoever is left."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from netctl.fault.faults import RegistryWipe
from netctl.fault.journal import decode
from tests.fault.guardian_process import GuardianProcess
from tests.real.etcd import RealEtcd


class Etcd(RealEtcd):
    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        coded = {k: b64encode(v).decode() if isinstance(v, bytes) else v for k, v in body.items()}
        with urlopen(Request(f"{self.url}/v3/{path}", json.dumps(coded).encode()), timeout=5) as answer:
            said: dict[str, Any] = json.loads(answer.read())
            return said

    def put(self, key: str, value: str, lease: int = 0) -> None:
        self.ask("kv/put", key=key.encode(), value=value.encode(), lease=lease)

    def lease(self, ttl_s: int) -> int:
        return int(self.ask("lease/grant", TTL=ttl_s)["ID"])

    def all(self) -> dict[str, tuple[str, int]]:
        """Key → (value, lease), of everything."""
        found = self.ask("kv/range", key=b"\0", range_end=b"\0").get("kvs", [])
        return {
            b64decode(kv["key"]).decode(): (b64decode(kv.get("value", "")).decode(), int(kv.get("lease", 0)))
            for kv in found
        }

    @property
    def wipe(self) -> RegistryWipe:
        return RegistryWipe(None, f"127.0.0.1:{self.port}", "/vm/")


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[Etcd]:
    started = Etcd(tmp_path / "etcd")
    with started:
        yield started


def test_everything_below_the_prefix_goes_at_once_and_returns_with_its_leases(etcd: Etcd, tmp_path: Path) -> None:
    lease = etcd.lease(60)
    etcd.put("/vm/orders/a-vm1", "one", lease)
    etcd.put("/vm/orders/a-vm2", "")
    etcd.put("/vm0", "not below it")
    before = etcd.all()
    guardian = GuardianProcess(tmp_path, etcd.wipe)
    guardian.injected()
    assert etcd.all() == {"/vm0": ("not below it", 0)}
    assert guardian.told(b"undo")["event"] == "undone"
    assert guardian.left() == 0
    assert etcd.all() == before
    etcd.ask("lease/revoke", ID=lease)
    assert "/vm/orders/a-vm1" not in etcd.all()


def test_a_key_whose_lease_has_ended_meanwhile_is_not_put_back(etcd: Etcd, tmp_path: Path) -> None:
    lease = etcd.lease(60)
    etcd.put("/vm/orders/a-vm1", "one", lease)
    etcd.put("/vm/orders/a-vm2", "two")
    guardian = GuardianProcess(tmp_path, etcd.wipe)
    guardian.injected()
    etcd.ask("lease/revoke", ID=lease)
    assert guardian.told(b"undo")["event"] == "undone"
    assert etcd.all() == {"/vm/orders/a-vm2": ("two", 0)}
    guardian.left()


def test_what_somebody_has_registered_meanwhile_is_left_as_it_is(etcd: Etcd, tmp_path: Path) -> None:
    etcd.put("/vm/orders/a-vm1", "old")
    guardian = GuardianProcess(tmp_path, etcd.wipe)
    guardian.injected()
    etcd.put("/vm/orders/a-vm1", "new")
    etcd.put("/vm/orders/a-vm9", "another")
    assert guardian.told(b"undo")["event"] == "undone"
    assert etcd.all() == {"/vm/orders/a-vm1": ("new", 0), "/vm/orders/a-vm9": ("another", 0)}
    guardian.left()


def test_a_registry_that_has_changed_since_it_was_saved_is_not_wiped(etcd: Etcd, tmp_path: Path) -> None:
    etcd.put("/vm/orders/a-vm1", "one")
    guardian = GuardianProcess(tmp_path, etcd.wipe)
    assert guardian.hears()["event"] == "ready"
    etcd.put("/vm/orders/a-vm2", "unsaved")
    said = guardian.told(b"inject")
    assert said["event"] == "inject_failed"
    assert "has changed since it was saved" in said["problems"][0]
    assert len(etcd.all()) == 2
    guardian.left()


def test_an_empty_registry_is_nothing_to_wipe(etcd: Etcd, tmp_path: Path) -> None:
    said = GuardianProcess(tmp_path, etcd.wipe).hears()
    assert said["event"] == "inject_failed"
    assert "holds nothing below /vm/" in said["problems"][0]


def test_thousands_of_keys_are_saved_and_put_back(etcd: Etcd, tmp_path: Path) -> None:
    for first in range(0, 2500, 100):
        puts = [
            {"request_put": {"key": b64encode(b"/vm/s/i%d" % n).decode(), "value": b64encode(b"%d" % n).decode()}}
            for n in range(first, first + 100)
        ]
        etcd.ask("kv/txn", success=puts)
    guardian = GuardianProcess(tmp_path, etcd.wipe)
    guardian.injected()
    assert etcd.all() == {}
    etcd.put("/vm/s/i77", "registered anew")
    assert guardian.told(b"undo")["event"] == "undone"
    found = etcd.all()
    assert len(found) == 2500
    assert (found["/vm/s/i77"][0], found["/vm/s/i2499"][0]) == ("registered anew", "2499")
    guardian.left()


@pytest.mark.parametrize("damage", [None, b"", b"deadbeef\n{}\n"])
def test_another_one_puts_back_when_runner_and_guardian_are_dead_even_from_a_damaged_journal(
    etcd: Etcd, tmp_path: Path, damage: bytes | None
) -> None:
    etcd.put("/vm/orders/a-vm1", "one")
    guardian = GuardianProcess(tmp_path, etcd.wipe)
    guardian.injected()
    guardian.killed()
    if damage is not None:
        guardian.path.write_bytes(damage)
    assert guardian.undone_by_another() == 0
    assert etcd.all() == {"/vm/orders/a-vm1": ("one", 0)}
    assert list(guardian.path.parent.glob("*.saved")) == []
    assert guardian.undone_by_another() in {0, 2}  # idempotent; 2: a damaged one has been set aside


def test_an_etcd_that_is_away_gets_its_keys_when_it_is_back(etcd: Etcd, tmp_path: Path) -> None:
    etcd.put("/vm/orders/a-vm1", "one")
    guardian = GuardianProcess(tmp_path, etcd.wipe)
    guardian.injected()
    etcd.kill()
    said = guardian.told(b"undo")
    assert said["event"] == "undo_failed"
    assert "is not what it was" in said["problems"][0]
    assert decode(guardian.path.read_bytes()).open
    etcd.start()
    while (said := guardian.hears())["event"] == "undo_failed":
        pass
    assert said["event"] == "undone"
    assert etcd.all() == {"/vm/orders/a-vm1": ("one", 0)}
    assert guardian.left() == 0
