"""Health checks: is the thing behind an announcement able to serve?

Rules of this room:
- ``checks.Verdict`` decides purely from the outcomes of single runs: ``rise`` passes in a row make it pass, ``fall``
  failures in a row make it fail; before either it is unknown, and unknown is never down;
- ``io.RealChecks`` performs one run, bounded in time, and says in words why it failed;
- who runs checks, and when, is the program's business (the agent's shell runs one task for each).

``Checks`` is the port between the two: the simulator brings its own.
"""
