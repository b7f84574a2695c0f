"""Reading and writing kernel settings; see ``netctl.fib.sysctls``."""
