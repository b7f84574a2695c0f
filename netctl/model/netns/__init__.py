"""Network namespaces by path, and the few netlink words needed inside one.

Used by rooms that reach into several namespaces from one process (probe, fault): a socket stays in the namespace it
was made in, so they enter, make the socket, and leave. ``netlink`` is pure; ``io`` enters and talks.
"""
