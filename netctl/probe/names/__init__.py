"""Outage measurement by name: what name servers answer, and what becomes of HTTP requests that ask them first.

Rules of this room:
- a lookup asks one name server for one name, over and over, each time with a new id; a visit is what an application
  does: resolve the name anew, take one of the addresses at random, connect, GET /, read the page, all within a second;
- both are made in the network namespace of the client that they stand for; one process, one clock;
- every single one is kept with when it began, how long it took and how it ended; nothing is judged here;
- what the probe itself did not ask in time shows as a gap between two beginnings: in it nothing can be seen.

How the pieces live together: ``spec`` is the language (specification in, status lines and report out, JSON), ``wire``
the DNS message and the page, pure; ``log`` keeps what happened and says for how long all has been well, pure;
``io`` asks name servers and fetches pages; ``shell`` is the loop. Started as ``python -m netctl.probe.names SPEC.json``
it runs until its standard input ends, then prints the report.
"""
