"""Gradients: reverse mode as a map from checked diagrams to the text of diagrams."""
