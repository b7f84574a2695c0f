"""Getting and keeping a Lease (``io``), as ``netctl.kube.lease`` decides."""
