"""Work on a finished or unfinished run from its journal alone: no model, no key, no network, no cost."""
