"""Neural circuit diagrams: a layout of our own, computed as plain geometry.

The way: `build` turns the diagram IR into a `model` of operations and the arrays between them
(`cells`, `reindexings` and `masks` make single operations, `folding` says which steps are one of
them); `layers` gives each its column, `order` its row, `place` its position; `paint` makes a
`scene` of shapes, wires and labels, which `gv` writes down for Graphviz.
"""
