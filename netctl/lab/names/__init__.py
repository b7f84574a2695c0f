"""The lab's naming half: which programs run on which node, with which files, so that names resolve.

Per cloud X: X-kube (a Kubernetes API of its own on its own etcd, the controller manager, a checker), X-dns (CoreDNS
on that API), X-ing (HAProxy before the pods), X-pod1 and X-pod2; and one mgmt with the registry's etcd and two
controllers.

Rules of this room:
- ``plan_names`` is a function of the topology: programs and plain files, nothing is written;
- ``secrets.prepare`` makes keys, certificates and tokens, and keeps those that are there: a lab that grows twice, or
  was killed while it grew, goes on with what its programs have read already;
- ``setup`` is a program that runs once in each cloud, beside the API server: it applies what ``deploy/kubernetes``
  ships and asks for the tokens with which controllers and CoreDNS work; the lab's controllers are no administrators;
- programs wait for files, never for each other: a kubeconfig that is there is the sign that its cluster is set up.

In STATE: ``etc/NODE/`` configurations, ``etc/pki/`` certificates, ``etc/kube/CLOUD/WHO.kubeconfig`` (WHO: admin,
controller, coredns), ``data/NODE/`` what the etcds keep.
"""

from netctl.lab.names.plan import CONTROLLERS, SERVICES, NamesPlan, plan_names
from netctl.lab.names.secrets import prepare

__all__ = ["CONTROLLERS", "SERVICES", "NamesPlan", "plan_names", "prepare"]
