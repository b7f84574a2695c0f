"""Liveness: sees that a path is dead and moves its member at once, whether or not the agent is there.

Rules of this room:
- it alone writes members; it never touches a group or a route;
- ``decide.py`` decides and does nothing: ``handle(event, now) → effects``; ``shell.py`` does and decides nothing;
- nothing is imported but the standard library, msgspec and netctl rooms that are as clean: it starts fast, is small
  and can be locked in memory;
- *unknown is never down*: a session that was never Up since the start moves nothing, a neighbour's AdminDown moves
  nothing, silence of our own moves nothing;
- *fail-static*: with no survivor that is Up, everything stays as it is.

How the pieces live together: ``events.py`` names what comes in and what goes out. ``decide.py`` holds a path for each
peer (its session, where its member points, what the agent has armed) and after each change asks of every path where
its member belongs (``_target``); the differences become ``Point`` effects, which the shell carries out before anything
else and answers with ``Pointed``. ``report.py`` puts sessions and counters into the socket's messages. The shell reads
sockets empty before it lets the core judge a deadline. ``__main__.py`` is the program: locked memory, real-time
priority, signals, exit codes.
"""
