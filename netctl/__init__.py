"""netctl keeps a company's applications reachable across several clouds."""

__version__ = "0.1.0"
