"""The files that keep programs of the lab down."""
