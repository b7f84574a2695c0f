"""Outage measurement: one-way UDP flows, timed at the receiver.

Rules of this room:
- one process, one clock: it opens the sockets of every flow in the network namespaces where they belong (a socket
  stays in the namespace it was made in), so it sends and receives both directions and compares its own timestamps;
- arrival is the kernel's timestamp (SO_TIMESTAMPNS): how late this process reads a packet does not count;
- what the sender itself failed to send in time is known from the send log and never counted as the network's outage;
  it is reported, because nothing can be seen while nothing is sent.

How the pieces live together: ``spec`` is the language (specification in, status lines and report out, JSON);
``wire`` is the packet; ``outage`` turns a flow's send and receive log into outages, pure; ``routes`` asks the kernel
which way a flow's packets go, so that the caller can choose flows that cover every ECMP member; ``io`` opens sockets;
``shell`` is the loop: send what is due, read what arrived, five status lines a second. Started as
``python -m netctl.probe SPEC.json`` it runs until its standard input ends, then prints the report.
"""
