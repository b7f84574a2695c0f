"""BGP as the speaker sees it: ExaBGP's lines in, a peer's table, announcements out; and the kits' configurations.

Rules of this room:
- no I/O: every module is pure, but for ``kits`` (one level up) reading the templates;
- ExaBGP speaks the protocol (RFC 4271); what it leaves out is here: the AS loop check, the next-hop check, the
  prefix limit, the wording of reasons, knowing when a table is complete;
- IPv4 unicast only; other families are not negotiated.

How the pieces live together: ``exabgp_json`` turns one line into one of ``events``; ``table`` keeps what the peer
announced (prefix → interned attributes) and says what an update changed; ``announce`` keeps what we announce (wanted
against told) and says which command lines make up the difference; ``reasons`` words NOTIFICATIONs for people;
``render`` fills the templates of the ``bgp/`` folder: ExaBGP's for the speaker, BIRD's and FRR's for the other end of a
link.

Who uses it: ``netctl.speaker`` all of it, the lab ``render``.
"""
