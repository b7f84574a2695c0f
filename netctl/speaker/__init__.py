"""The speaker: one peer's BGP session and table, in a process of its own.

Rules of this room:
- it imports nothing but the standard library, msgspec and netctl rooms that do the same;
- ``decide`` is pure; ``shell`` and the ``__main__`` modules do the I/O and decide nothing;
- all state can be built again from ExaBGP; nothing is kept on disk.

How the pieces live together: ``python -m netctl.speaker GATEWAY.json PEER`` writes ``exabgp-PEER.conf`` and becomes
ExaBGP. ExaBGP starts ``python -m netctl.speaker.relay GATEWAY.json PEER`` as its helper: its lines come in by stdin,
commands go out by stdout. The relay drains stdin on a thread of its own, because ExaBGP's reactor (and so its hold
timers) stops while a write to the helper blocks; commands leave by another thread, so that neither side can wait for
the other. Between them ``decide.Speaker`` turns each line into messages for the clients of ``speaker-PEER.sock`` and
each client's message into commands (``effects``); ``retry`` is its part about a session that is not there, ``feed``
the wording of a table as messages.

A client that is slower than the peer's changes (a stopped agent) has its queue cut off at a limit: it is
disconnected, and gets the whole table when it connects again. It never slows ExaBGP or another client.

What ends when: ExaBGP dead → the relay's stdin ends, it removes its socket and exits. The relay dead → ExaBGP starts
another one; it asks for the session's state and for the routes again (route refresh). ExaBGP that gives up its helper
exits (``api.terminate``), and whoever supervises the speaker starts it again.
"""
