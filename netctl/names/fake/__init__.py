"""An etcd in memory, for the simulator and for tests: the same promises as the real one, and every accident of it."""
