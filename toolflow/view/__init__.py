"""The terminal view: renders snapshots and follows one dialogue; it never slows a run."""
