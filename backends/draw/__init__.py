"""Drawings of diagrams: `DrawBackend` makes DOT text, and SVG, PDF or PNG through Graphviz.

The way: `dataflow` turns the diagram IR into a `picture`, with boxes grouped by `groups` and
worded by `phrases` and `calls`; `dot` writes it down with the colours of `palette`; `render` runs
Graphviz.
"""

from .backend import DrawBackend
from .render import GraphvizError, GraphvizMissing

__all__ = ["DrawBackend", "GraphvizError", "GraphvizMissing"]
