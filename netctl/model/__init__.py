"""The vocabulary of netctl: what every other room talks in.

Rules of this room:
- nothing here does I/O, knows a protocol or takes a decision;
- everything is a frozen dataclass, an error or a Protocol (a *port* to the outside);
- sibling rooms exchange values of this room's types and never import each other.

Where to look: ``errors`` (what can go wrong, with its exit code), ``prefix`` (prefixes as compact
keys), ``gateway`` (the validated gateway file), ``routing`` (members, groups, routes: the kernel's
side), ``clock`` (time, real and fake), ``ports`` (the handful of interfaces to the outside).
"""
