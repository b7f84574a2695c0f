"""What a drill does, one method for each effect of its course."""
