"""Names: what registries say about services, read, checked and merged into one catalog.

Rules of this room:
- a registry is never trusted: ``entries.read_entry`` turns any bytes into an Instance whose every value Kubernetes will
  take, or into Skipped with a reason in words; one bad entry costs that entry and nothing else;
- silence and nonsense remove nothing: Lost leaves the catalog as it is, and a broken update leaves the last valid
  instance in place (it is shown as skipped). Only a registry that says so, in a Listed or Changed, takes an instance
  out of the catalog, and whether that may reach a cluster is for the guards to decide, not for this room;
- the catalog is a function of what the sources hold, not of the order in which they said it (two controllers agree):
  sources count in the order of the file, instances by name; one exception is the last valid instance above;
- one change costs one service: ``catalog.Merger.take`` returns the services whose instances changed.

How the pieces live together: ``io.open_registry`` opens what a source of the controller file means, a ``Registry``
(``model.ports``): ``etcd.io`` lists at one revision and watches from the next, ``etcd.wire`` is its codec; ``file.io``
polls a file, ``file.document`` reads it; ``fake`` is an etcd in memory for the simulator, which passes the same
contract test. Their events go to one ``Merger``.
"""
