"""The rtnetlink socket itself; see ``netctl.fib``."""
