"""Faults as data, each with its undo, and a guardian that takes them back whatever dies (I9).

Rules of this room:
- a fault is a frozen struct; what was there before it is captured and on disk (the journal, fsynced) before it
  happens;
- only the guardian (``python -m netctl.fault JOURNAL``) injects. It runs inside the lab's namespaces in a session of
  its own and undoes on "undo", at the journal's limit, on SIGTERM, and as soon as whoever started it is gone (its
  standard input ends). Guardian and runner both dead: ``python -m netctl.fault JOURNAL --undo`` does the same;
- undoing is idempotent, tolerates what is gone already, touches nothing that is not marked as ours, and is verified;
- two guardians never work at once: each holds the folder's ``guardian.lock`` while it lives. One that is stopped, or
  takes longer than it may, is killed by the next, which undoes in its place.

How the pieces live together: ``faults`` are the data; ``journal`` is the document on disk (twice, when it keeps what
could be found nowhere else); ``guardian`` is the table that decides, pure; ``lock`` lets one guardian at a time work;
``qdisc`` is the codec for cutting links; ``io`` does it to kernel, processes and agents, with ``held`` (programs that
stay down) and ``registry`` (an etcd's keys); ``shell`` is the guardian's loop.
"""
