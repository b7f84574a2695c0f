"""Kubeconfig files, tokens and certificates (``io``)."""
