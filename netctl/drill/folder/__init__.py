"""A lab's drills folder: lock, journals, results."""
