"""What models do for catalogues and graphs: encode texts, check links, fill in and invent tools."""
