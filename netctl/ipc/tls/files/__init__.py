"""Certificate files → TLS contexts."""
