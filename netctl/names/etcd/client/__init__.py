"""The client alone: the registry uses it, and so does whoever registers."""
