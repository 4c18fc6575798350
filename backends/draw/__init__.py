"""Drawings of diagrams: `DrawBackend` makes DOT text, and SVG, PDF or PNG through Graphviz.

Neural circuits have a layout of their own, in `circuit`. Of the dataflow, `dataflow` makes a
`picture`, with boxes grouped by `groups` and worded by `phrases` and `calls`; `dot` writes it down
with the colours of `palette`. `render` runs Graphviz.
"""

from .backend import DrawBackend
from .render import GraphvizError, GraphvizMissing

__all__ = ["DrawBackend", "GraphvizError", "GraphvizMissing"]
