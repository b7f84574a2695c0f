"""A cluster in memory that behaves like a real API server in all that netctl relies on: ``FakeKube`` is what etcd and
the API server's rules are; ``netctl.kube.fake.io.FakeKubeApi`` is one client's way to it, with faults."""

from netctl.kube.fake.store import Change, FakeKube, Snapshot

__all__ = ["Change", "FakeKube", "Snapshot"]
