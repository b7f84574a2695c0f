"""The naming world: two controllers, two clusters, two registries, a checker in each cloud.

Rules of this room:
- what runs is the real ``netctl.controller.shell``, kept and killed as processes are; what is fake are its ports: the
  clusters (``netctl.kube.fake``), the registries (``netctl.names.fake``), sockets and time (``netctl.sim``);
- checkers are modelled (``checker``): they speak ``netctl.ipc`` and tell the truth, late;
- nothing in here decides for the controller. The judges know what the controller was told (``ports`` passes it on and
  listens), what it sent at which moment, and what the clusters hold; what it may do they work out for themselves.

How the pieces live together: ``world`` holds everything and lets ``faults`` happen; ``ledger`` is the account of what
one life of a controller was told and may therefore let go; ``invariants`` judges each write when it is sent and when it
is stored, with the ``tenures`` of the Leases and the ``budgets`` of the clusters; ``rest`` says what a cluster shall
hold, ``run`` drives a schedule from boot to rest, ``play`` plays the vm-death drill.
"""
