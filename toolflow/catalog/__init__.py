"""Catalogues: the tool, the formats it is read from, and the sample that ships with the package."""
