"""TCP sockets, with TLS around them or without."""
