"""A YAML file as a registry."""
