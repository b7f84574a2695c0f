"""HTTP requests to one API server, with the right credentials (``io``)."""
