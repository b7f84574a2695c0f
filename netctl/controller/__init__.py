"""The controller: what registries list becomes Services and EndpointSlices in the clusters.

Rules of this room:
- ``decide.Controller`` decides purely: ``handle(event, now_ns) → effects`` (``events``), ``work`` while ``busy``,
  ``next_timer``. ``shell.ControllerShell`` acts thinly and uses nothing but what it is given;
- everything is incremental by service: one change touches one service, which is judged, checked, and planned in each
  cluster. Nothing waits for a period: the next write leaves in the very turn in which the change was heard of;
- after each answer the service is planned anew; there is no list of pending writes that could be out of date;
- silence removes nothing: neither a registry that is away, nor a cluster, nor a checker;
- no write leaves without the Lease's word for that very moment, none changes what is not netctl's, none takes away
  more than the guards let go. What is refused is shown in words and tried again later.

How the pieces live together: ``services`` holds what is to be served (the sources' catalog, ``netctl.names``, through
the shrink guard), ``health`` what checkers say, ``cluster`` one cluster each: ``observed`` (what is there; our own
answers and the watches), ``removals`` (its budget and the ConfigMap where guards remember), ``pauses`` and ``fights``
(when to try again). The Lease is kept beside it by ``netctl.kube.leading``. ``views``, ``explain`` and ``dry`` answer
questions and change nothing; ``answers`` is the socket's side of them. ``io`` holds the lock and opens the real ports.
"""
