"""The agent: everything on a gateway that takes thought.

Rules of this room:
- ``decide.Agent`` decides purely: ``handle(event, now_ns) → effects`` (``events``), ``kernel_ops`` in small portions,
  ``next_timer``. ``shell.AgentShell`` acts thinly and uses nothing but the ports it is given;
- facts move routes (a withdrawal, the end of a BGP session for a reason of the peer's); opinions never do. BFD Down
  moves no route: liveness has pointed the member elsewhere already. The death of one of our own programs is neither:
  what it told stays, stale, for a bound;
- the agent writes groups and routes, liveness writes members. What the kernel holds at the start is adopted as a path
  of the peers whose members it names, and goes only when they have told their whole tables without it;
- the agent may die at any moment: children are in sessions of their own, found again by their sockets and pid files.

How the pieces live together: ``peers`` keeps for each peer the session's state (a table) and what it told, ``routes``
chooses members for each prefix and tells ``netctl.fib.plan``, ``kernel`` paces what that wants written, ``members``
follows BFD and tells liveness where it may point a member and (``arming``) when it goes home, ``announce`` tells each
speaker its routes, ``children`` knows which programs must run. ``views`` and ``explain`` answer questions and change
nothing. ``io`` holds the lock and the checks of the environment before the start.
"""
