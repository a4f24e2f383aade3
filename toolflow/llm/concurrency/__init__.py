"""How many attempts may be in flight."""
