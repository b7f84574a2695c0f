"""ExaBGP's helper as a program: ``python -m netctl.speaker.relay GATEWAY.json PEER``."""
