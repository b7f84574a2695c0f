"""CoreDNS, netctl's own in each cloud: its Corefiles, and what it answers.

Rules of this room:
- ``render.py`` fills the templates of ``dns/``: text in, text out; no I/O. People read those files, so what is said
  there is said in them, not here;
- ``io.py`` asks a name server as a client does, one question at a time, and says what came back;
- nothing here decides what a name should answer: that is in the slices, and CoreDNS reads them from the API itself.

A cloud's own names come straight from its cluster, without a cache in front of them; another cloud's names are asked
for at that cloud's servers and kept for their TTL. So `<service>.<zone>` can be answered as long as the cloud's own
CoreDNS and API have been up together once, whatever happens to the other clouds.
"""

from netctl.coredns.render import CorednsSettings, render_cloud, render_cluster_stub, render_local

__all__ = ["CorednsSettings", "render_cloud", "render_cluster_stub", "render_local"]
