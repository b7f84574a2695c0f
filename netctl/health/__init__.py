"""Health checks: is the thing behind an announcement, or a name, able to serve?

Rules of this room:
- ``checks.Verdict`` decides purely from the outcomes of single runs: ``rise`` passes in a row make it pass, ``fall``
  failures in a row make it fail; before either it is unknown, and unknown is never down;
- a run that did not take place (this host is out of descriptors) or was late because this process was held up says
  nothing about its target;
- ``io.RealChecks`` performs one run, bounded in time, and says in words why it failed;
- who runs checks is the program's business: the agent's shell one task for each of its few, the checker by
  ``schedule.Schedule``, which spreads thousands over their interval and follows a first failure up faster;
- ``targets`` is the controller's side: ``TargetBook`` (instances → what a cloud's checkers are told) and
  ``VerdictTable`` (what they say together, bound to the address it was found at).

``Checks`` is the port between the two: the simulator brings its own.
"""
