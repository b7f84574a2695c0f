"""Drills: an experiment on a lab with a fault, a measurement, objectives and an undo that always happens (I9).

Rules of this room:
- an experiment is data (``experiments``): which faults, for how long, what may be lost at most;
- the order of things is a table (``decide``), pure; whatever happens at whatever moment, once a journal is on disk
  nothing ends before the undo is confirmed, or is reported as failed;
- the verdict is a function of what the probe saw (``judge``), pure: *passed* only when the measurement could have seen
  a miss, *missed* only when it did, else *inconclusive*;
- one drill at a time per lab: whoever holds ``lock`` in the lab's drills folder.

How the pieces live together: ``facts`` is what a lab looks like to a drill; ``routing`` and ``naming`` are the drills,
``catalogue`` has them by name; ``flows`` picks flows until each member of each ECMP group carries enough of them,
``watch`` is what is asked by name. ``shell`` performs decide's effects one by one (``acts``) and turns what comes back
into events; ``io`` reaches the lab: probes (``instrument``), guardian (netctl.fault), journals, lock, steadiness. The
verdict is made of three: ``judge`` on flows, ``names_judge`` on names and requests, ``control`` on what controllers
said; ``results`` is what is kept and printed. Order: lock, steady, flows, probes clean, guardian ready with the undo on
disk, baseline, inject, hold, undo, steady again, quiet tail, verdict.
"""
