"""Listening to what others change; see ``netctl.fib``."""
