"""Bidirectional Forwarding Detection: RFC 5880 asynchronous mode, single hop as of RFC 5881. No I/O.

Rules of this room:
- ``session.py`` owns every rule of the protocol: which packets are discarded, in the RFC's order, each with a counter
  of its own; which state follows (one table); when to send; when silence means Down;
- it is given bytes, the TTL, the source and the time, and gives back state changes and packets to send; it opens no
  socket, reads no clock and rolls no dice of its own (the random stream is passed in);
- it does not know what a state change is good for: members, survivors and restoring are ``netctl.liveness``.

How it is used: ``Sessions`` holds all sessions of a node. ``receive`` for each datagram, ``handle_timer`` when
``next_timer`` is due, and after either everything in ``take_packets`` goes out. Deadlines sit in one heap; a packet
that moves a session's detection deadline does not touch it (an entry that comes up too early is put back), so that the
cost of a packet does not depend on the number of sessions.

Not every Down is a failure of the path. ``Change.cause`` says which: ``expired`` and ``neighbor_down`` are failures, a
neighbour's AdminDown (RFC 5880 6.8.16) is somebody's decision. And silence of the peer is told from silence of our
own: a timer that comes late by more than half a detection time restarts detection instead of declaring Down.

Not here: echo, demand mode of our own (a peer's D bit is honoured), authentication, multihop.
"""
