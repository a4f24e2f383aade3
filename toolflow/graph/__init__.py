"""The tool graph: which tools belong together, found from the fields they share, and samplers over it."""
