"""An embedded BGP router that stands in for BIRD and FRR where those cannot run: no root, no packages.

Rules of this room:
- for labs: small tables, whole recomputation on each change; nothing here is for production;
- it does what BIRD does with the kit's configuration: passes on what it learns with its own AS in front, announces its
  own prefixes, installs the best path, and drops a neighbour's BGP session at once when BFD declares it Down;
- BGP and BFD are netctl's own programs (one speaker for each neighbour, one liveness), started as programs.

How the pieces live together: ``settings`` is the configuration file; ``rib`` (pure) holds every neighbour's table and
says what to install and what to announce to whom; ``router`` starts the programs, talks to their sockets and writes the
kernel. Liveness never moves a member here: it is armed without survivors, as a provider's router has none.
"""
