"""The algebra of diagrams: terms, a normal form, equality, and rewrites that keep the meaning."""
