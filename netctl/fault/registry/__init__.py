"""What an etcd holds below a prefix: saved, deleted, put back."""
