"""Who may change the lab: one guardian at a time."""
