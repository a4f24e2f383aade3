"""The run directory, the call journal, and replay."""
