"""The programs a drill starts inside the lab."""
