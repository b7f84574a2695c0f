"""Metrics and logs.

Rules of this room:
- ``metrics`` turns samples into the Prometheus text format; it knows no program's names and keeps no state: whoever
  owns the numbers builds ``Sample`` rows when asked (``netctl_<what>_<unit>``, ``_total`` for what only grows);
- ``io.configure_logging`` makes structlog write one JSON object a line to stderr, with monotonic milliseconds (to
  order what happened in one host, whatever the wall clock did) and ISO time (for people).
"""
