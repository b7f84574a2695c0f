"""The checker: is each instance of this cloud able to serve? Its verdicts go straight to the controllers.

Rules of this room:
- ``decide.Core`` is pure: what controllers want checked, runs that ended, time → what to say to whom. ``shell`` has the
  connections and the runs, ``io`` the real sockets, certificates and metrics;
- the targets are the union of what all controllers want; each controller hears only of its own, and only what is known:
  a verdict is said when rise or fall was reached, at once, and all of them again after a reconnection;
- a controller that goes away changes nothing: its targets are still checked (for 10 min), so that it finds them known;
- a change is never told late because somebody reads slowly: what waits for one controller is kept by instance, the
  latest wins, and the others do not wait for it;
- what this process was too late for is no failure of the target: such a run is void (``netctl.health.schedule``).

A controller of another cloud's checker, or one that sends something else than CheckTargets, is left, and the reason is
in the status. An empty Verdicts each second is the sign of life that Hello promises.
"""
