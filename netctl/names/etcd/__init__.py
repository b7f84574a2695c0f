"""etcd 3.4 and later as a registry, by its JSON gateway."""
