"""Guards: rules that stop a dangerous change; what they stop waits as a hold, with its reason in words.

Rules of this room:
- nothing here removes anything: guards only say what must stay, the caller plans with it;
- ``shrink.ShrinkGuard`` judges one service over all clouds: what sources no longer list may go when checks have
  called it failing for long, when it is little enough, or when an operator approved it; the last instance that can
  serve never goes by a source's word alone. A hold ends in three ways only: listed again, failing for long, approved.
  Never by time, never by a restart (``restore``), never because other instances came;
- ``budget.Budget`` bounds what goes from one cluster, over sliding windows: tokens are debited where all controllers
  see it before the removal is sent (``debit`` → store → ``debited`` → ``take``), in portions, so that most removals
  need no write of their own. A token that was not used is lost, a crash refunds nothing, nor does a clock;
- ``state`` turns what has to survive a restart into one opaque string and back. One that cannot be read is taken as
  "the limits were used to the brim until just before";
- ``hold`` names holds: the id changes when a hold grows, so nobody approves what he has not seen.

How they live together: shrink guard first (per service), the plan next (per cluster), the budget last (per cluster,
for the plan's ``removed``). Unknown is never down: an instance without a verdict counts as able to serve.
"""
