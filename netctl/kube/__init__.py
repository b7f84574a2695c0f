"""Kubernetes' API: a lean client, caches that follow it, the Lease that says who may write, and a fake cluster.

Rules of this room:

- ``answers`` says what a response means and ``informer`` and ``lease`` decide what to do next; none of them does I/O.
  ``io`` (the client), ``transport.io`` (its HTTP), ``auth.io`` (kubeconfig, tokens, TLS), ``follow.io`` (list and
  watch) and ``leading.io`` (keep the Lease) act. Only ``auth.io`` knows the ``kubernetes`` library.
- Every error is one of ``netctl.model.kube``, and says in one line where and what. The difference that matters most is
  between a write that was certainly not made (UnreachableError, BusyError, ConflictError, …) and one that may have been
  made or may yet be (UnknownOutcomeError): after that one, read again; never assume.
- TLS is always verified. Credentials are read again when their files change, when they are about to expire, and once
  when the API server answers 401. No message contains a token.
- A list is read from one version and a watch goes on from it; whoever follows gets a complete list first and then
  changes. The API's version going backwards means that another history is told now (a restored backup): list again.
- A Lease is judged by one's own monotonic clock, never by the times written in it. What one holds is counted from the
  moment the renewal was *sent*, what another holds from the moment its change was *seen*: so the first always ends
  before the second.
- ``fake`` is product code: a cluster in memory which the contract tests hold against the real API server.
"""
