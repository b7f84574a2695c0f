"""The kernel's forwarding table: encode, plan, program, watch.

Rules of this room:
- every route of netctl points at a group, a group at members; members are liveness's, groups and routes the agent's;
- an object without netctl's protocol number is never changed or deleted, and none of ours is read as somebody else's;
- what the kernel says is dumped, never guessed: an event is only the reason to look (carrier loss removes nexthops
  and routes without announcing it, and events overtake one another);
- only ``io.py`` modules touch a socket or /proc; everything else is plain computation.

How the pieces live together: ``io`` is the real ``Kernel`` port (``NetlinkKernel``) with its socket and the whole way
of a member; ``batch`` writes routes and groups in bulk, ``wire`` turns them into rtnetlink bytes and back,
``netlink.io`` dumps, ``watch.io`` listens, ``owners`` names who is in the way. ``fake`` is the same port on
dictionaries, with the kernel's silent deletions, for tests and the simulator. ``plan.Fib`` holds what is wanted and
what the kernel was last known to have (``groups`` its share of that), and gives out what closes the gap, at the
cost of the changes alone. ``sysctls`` says which kernel settings all this depends on, ``sysctl.io`` sets them.
"""
