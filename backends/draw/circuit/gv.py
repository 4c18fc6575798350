"""A scene as DOT text for `neato -n2`, which keeps every position.

Wires are edges with their splines. Graphviz has no node of any outline and no text on a given
baseline, but it draws both from the `_background` of the graph, in its own xdot language.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..text import quoted, xml
from .colours import Colours
from .ids import Ids
from .metrics import text_width
from .scene import Label, Outline, Paint, Point, Scene, Shape, Wire

PAD = 10.0
"""What is left empty round a drawing, in points."""

_RAISED = 0.2
_WIRE, _MARKED, _DASH, _OUTLINE, _BOLD = 1.3, 2.4, 2.4, 1.2, 2.4
_WEIGHTS: dict[Paint, float] = {
    "learned": _BOLD, "norm": _BOLD, "bar": 2.0, "bracket": 3.0, "block": 0.6, "call": 0.6,
    "visible": 1.2, "masked": 0.2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Group:
    """Elements of a drawing that belong together: so many, with an id and a title."""

    id: str
    title: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class Sheet:
    """The DOT text, the groups of its background in order, and the titles of its wires by id."""

    text: str
    groups: tuple[Group, ...]
    titles: dict[str, str]


def write(scene: Scene, name: str, paint: Colours, font: str, ids: Ids) -> Sheet:
    """The scene as DOT; the same scene gives the same text."""
    writer = _Writer(scene, paint, font)
    shapes = sorted(scene.shapes, key=lambda s: (not s.is_frame, s.depth if s.is_frame else 0))
    operations: list[str] = []
    groups: list[Group] = []
    for shape in shapes:
        drawn = list(writer.shape(shape))
        operations += drawn
        kind = "frame" if shape.is_frame else "dot" if shape.is_dot else "box"
        groups.append(Group(shape.id, shape.title, kind, len(drawn)))
    for label in scene.labels:
        operations.append(writer.label(label))
        groups.append(Group("", "", "label", 1))
    titles: dict[str, str] = {}
    edges = [writer.wire(wire, ids, titles) for wire in scene.wires]
    lines = [
        f"graph {quoted(name)} {{",
        f"  graph [bgcolor={quoted(paint.paper)}, pad={PAD / 72:.4f}, splines=true,",
        # Graphviz refuses long strings, but joins short ones.
        "    _background=" + " +\n      ".join(f'"{each} "' for each in operations or ("",)) + "]",
        '  node [style=invis, label="", shape=point, width=0.01, height=0.01]',
        '  a [pos="0,0"]',
        f'  b [pos="{scene.width:g},{scene.height:g}"]',
        *edges,
        "}",
    ]
    return Sheet("\n".join(lines) + "\n", tuple(groups), titles)


def grouped(svg: bytes, groups: Sequence[Group], title: str) -> bytes:
    """The SVG with a title, and the elements of the background in groups with ids and titles."""
    lines = svg.decode().split("\n")
    named = next(i for i, line in enumerate(lines) if line.startswith("<title>"))
    lines[named] = f"<title>{xml(title)}</title>"
    start = next(i for i, line in enumerate(lines) if line.startswith("<polygon")) + 1
    found = lines[:start]
    at = start
    for group in groups:
        inside = lines[at : at + group.count]
        at += group.count
        told = "\n".join(xml(line) for line in group.title.split("\n"))
        id_ = f' id="{xml(group.id)}"' if group.id else ""
        head = f'<g{id_} class="{group.kind}">'
        found += [head, *([f"<title>{told}</title>"] if told else []), *inside, "</g>"]
    return "\n".join([*found, *lines[at:]]).encode()


class _Writer:
    def __init__(self, scene: Scene, paint: Colours, font: str) -> None:
        self.height = scene.height
        self.paint = paint
        self.font = font

    def shape(self, shape: Shape) -> Iterator[str]:
        """The operations of a shape, one for each element of the SVG."""
        for outline in shape.outlines:
            yield self._outline(outline, shape)
        for label in shape.labels:
            yield self.label(label)

    def _outline(self, outline: Outline, shape: Shape) -> str:
        pen, fill = self._inks(outline.paint, shape)
        width = _WEIGHTS.get(outline.paint, _OUTLINE)
        style = _xdot("S", f"setlinewidth({width:g})")
        head = f"{style} {_xdot('c', pen)} {_xdot('C', fill)}"
        if outline.is_round:
            xs = [x for x, _ in outline.points]
            ys = [self.height - y for _, y in outline.points]
            x, y = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
            return f"{head} E {x:.2f} {y:.2f} {max(xs) - x:.2f} {max(ys) - y:.2f}"
        letter = "L" if outline.is_open else "P"
        return f"{head} {letter} {len(outline.points)} {self._points(outline.points, ' ')}"

    def _inks(self, paint: Paint, shape: Shape) -> tuple[str, str]:
        c = self.paint
        match paint:
            case "dot":
                return c.ink, c.ink
            case "block" | "call":
                return c.frame_border, c.frames[shape.depth % len(c.frames)]
            case "masked":
                return c.masked, c.masked
            case "learned":
                return c.ink, c.learned
            case "norm":
                return c.ink, c.norm
            case "reindex":
                return c.ink, c.reindex
            case "visible":
                return c.ink, c.visible
            case "none":
                return "#ffffff00", "#ffffff00"
            case "box" | "pill" | "triangle" | "sign" | "bar" | "bracket":
                return c.ink, c.box

    def label(self, label: Label) -> str:
        """The operation of a line of text."""
        ink = self.paint.muted if label.paint == "muted" else self.paint.ink
        width = text_width(label.text, label.size, label.face, self.font)
        flags = {"roman": 0, "italic": 2, "bold": 1}[label.face]
        font = f"F {label.size:g} {len(self.font.encode())} -{self.font} t {flags}"
        text = _xdot("", label.text).strip()
        # Graphviz raises such text by a part of its size.
        y = self.height - label.baseline - _RAISED * label.size
        place = f"T {label.x:.2f} {y:.2f} -1 {width:.2f} {text}"
        return f"{_xdot('c', ink)} {font} {place}"

    def wire(self, wire: Wire, ids: Ids, titles: dict[str, str]) -> str:
        """The edge of a wire."""
        if wire.role == "separator":
            style = f'style=dashed, penwidth={_DASH}, class="separator"'
        else:
            style = f"penwidth={_MARKED if wire.level else _WIRE}"
        id_ = ids.new(wire.id or "separator")
        titles[id_] = wire.title or "the arrays of a tuple"
        at = self._points(wire.points, ",")
        return f'  a -- b [id="{id_}", color="{self._colour(wire)}", {style}, pos="{at}"]'

    def _colour(self, wire: Wire) -> str:
        c = self.paint
        return {"": c.ink, "shared": c.shared, "registers": c.registers}[wire.level]

    def _points(self, points: Sequence[Point], mark: str) -> str:
        return " ".join(f"{x:.2f}{mark}{self.height - y:.2f}" for x, y in points)


def _xdot(letter: str, text: str) -> str:
    r"""An operation of xdot with a text, which is given with its length in bytes."""
    plain = text.replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}").replace(
        "\\", "\N{REVERSE SOLIDUS OPERATOR}"
    )
    return f"{letter} {len(plain.encode())} -{plain}"
