"""From instances to Kubernetes objects: what a service shall look like in one cluster, and the writes that get there.

Rules of this room:
- one service in one cluster at a time; nothing here knows of the others, of leases, of time;
- ``want`` is the closed loop: a cloud's own instances answer; only when none of them can, the other clouds' do; when
  nothing can anywhere, readiness is not believed (the panic floor): unknown is never down, and all down is unlikely;
- ``plan`` compares with what was observed, as raw JSON data, and gives the fewest writes: one changed instance is one
  write, nothing changed is none. Order: the Service, then slices: create, update, delete;
- a plan may be cut after any write: no address (and no instance) that answered before and shall answer after is ever
  without a slice (``order``); planning again from what is there then arrives at the same end;
- ``objects`` reads whatever is there and never raises: people edit by hand. Who manages an object is told by its label
  alone; what is not ours is never changed, only shown. What others add to ours (labels, annotations) stays;
- slices are named ``SERVICE-netctl-N``: the lowest number that is free, so that two writers collide, not duplicate.

How the pieces live together: ``want`` → ``Wanted`` (endpoints, ports, why in words) → ``pack`` (which endpoint in
which slice) → ``order`` (which slice first) → ``plan`` (the writes, what they remove). An endpoint carries its
instance's name (targetRef), so that ``objects.served`` can tell from the cluster alone who is served.
"""
