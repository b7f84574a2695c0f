"""Listing and watching (``io``), as ``netctl.kube.informer`` decides."""
