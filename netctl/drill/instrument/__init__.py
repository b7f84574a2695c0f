"""A probe as a drill sees it."""
