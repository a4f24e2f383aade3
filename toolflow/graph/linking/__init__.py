"""From tools to links: which fields join which tools, and how surely."""
