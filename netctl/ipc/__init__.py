"""Socket messages between netctl's programs.

Rules of this room:
- a frame is a 4-byte big-endian length and that many bytes of msgpack (at most ``frames.MAX_FRAME``);
- a message is one tagged msgspec Struct of ``messages``; fields are only ever added, with defaults;
- the first message each way is ``Hello``; a reader accepts its own version and the previous one;
- what cannot be decoded raises ``PeerError``: the reader counts it, closes that connection and changes nothing.

Who listens: each speaker (``speaker-PEER.sock``), liveness (``liveness.sock``), the agent (``agent.sock``), all in the
gateway's ``runtime_dir``; a controller (``controller.sock``) and a checker (``checker.sock``) in theirs. The agent
connects to the first two; the command line connects to the other three. Checkers connect to controllers by TCP: ``tls``
checks both ends' certificates, and what is said over it are the same messages. ``lines`` cuts the streams of others.
"""
