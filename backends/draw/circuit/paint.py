"""From a circuit to a scene: columns get their widths, then all is drawn at its place."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from ..notation import ELLIPSIS
from .curves import bend, line, tidy
from .layers import Columns, columns
from .metrics import text_box, text_width
from .model import Box, Circuit, Cup, Element, Link, Node, Part, Picture, Port
from .order import order_rows
from .outlines import FRAMES, STIFF, TITLE_ROW, edge, outlines, texts
from .pictograms import WORDS
from .place import place_rows
from .scene import Label, Outline, Point, Scene, Shape, Wire
from .separators import curve, rises, separators

AXIS = 15.0
"""The font size of the labels of wires."""

TILE = 10.5
"""The font size of the tiles that an overlay tells."""

_LIFT = 4.5
_TILE_GAP = 3.0
_NAME_GAP = 7.0
_MARGIN = 5.0
_DOT = 3.2
_ARROW = 6.5
_STRAIGHT, _WIDEST_BEND = 10.0, 90.0
_FRAME = 12.0
_LINE_GAP = 34.0


@dataclass(frozen=True, slots=True)
class Place:
    """A column: its left side, what its pictograms have in the middle, and its right side."""

    left: float
    body: float
    end: float
    right: float


def lay_out(
    circuit: Circuit, font: str, *, is_frame: bool, width: float = 0.0, variant: int = 0
) -> Scene:
    """Lay a circuit out, in several lines if it is wider than a `width` that is not 0.

    A frame has room for its title at the top. Another `variant` has another order of rows.
    """
    found = columns(circuit)
    order_rows(found, circuit.wanted, variant)
    place_rows(found)
    return _Painter(found, circuit, font, is_frame, width).scene()


class _Painter:
    def __init__(
        self, found: Columns, circuit: Circuit, font: str, is_frame: bool, width: float
    ) -> None:
        self.width = width
        self.found = found
        self.circuit = circuit
        self.font = font
        self.is_frame = is_frame
        self.into: dict[Port, list[Link]] = {}
        self.out: dict[Port, list[Link]] = {}
        for links in found.links:
            for link in links:
                self.into.setdefault(link.head, []).append(link)
                self.out.setdefault(link.tail, []).append(link)
        self.element = {
            p: (e, part) for part in self.parts() for e in part.elements for p in e.ports()
        }
        self._tell()
        self.lines = [0] * len(found.nodes)
        self.places = self._placed()
        if width:
            self._break()
            cuts = {layer for layer, (a, b) in enumerate(pairwise(self.lines)) if a != b}
            place_rows(found, cuts)
            self.places = self._placed()

    def parts(self) -> Iterator[Part]:
        """All parts."""
        for nodes in self.found.nodes:
            for node in nodes:
                yield from node.parts

    def scene(self) -> Scene:
        """The whole scene; parts get their final places in it."""
        tops = self._tops(TITLE_ROW if self.is_frame else 2.0)
        bottom = 0.0
        for part in self.parts():
            part.y += tops[part.node.layer]
            bottom = max(bottom, part.y + part.bottom)
        right = math.ceil(max(self._end(layer) for layer in range(len(self.places))))
        self.places[-1] = replace(self.places[-1], right=right)
        scene = Scene(right, math.ceil(bottom + (8 if self.is_frame else 2)))
        for layer, nodes in enumerate(self.found.nodes):
            for node in nodes:
                for part in node.parts:
                    for element in part.elements:
                        self._element(scene, element, part, self.places[layer])
        for layer, cups in enumerate(self.found.cups):
            for cup in cups:
                self._cup(scene, cup, layer)
        for port in self.element:
            self._wires(scene, port)
        sides = [(place.left, place.body, place.end, place.right) for place in self.places]
        for chain in self.dashed:
            for _, piece in groupby(chain, key=lambda space: self.lines[space.layer]):
                points = curve(list(piece), sides, tops)
                if points:
                    scene.wires.append(Wire("", "", points, "separator"))
        return scene

    # ---- columns --------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Label what enters an operation after a long way or a fork."""
        for nodes in self.found.nodes:
            for node in nodes:
                if node.is_pass:
                    continue
                for part in node.parts:
                    for bundle in part.lefts():
                        for port in bundle:
                            port.is_told = port.is_told or self._is_far(port)
        for part in self.parts():
            _name_first(part)
        for bundle in self.circuit.outputs:
            if all(self._is_told_before(port) for port in bundle):
                for port in bundle:
                    port.is_told = bool(port.name)

    def _is_told_before(self, port: Port) -> bool:
        """Whether the wire that ends at a port is labelled where it begins."""
        links = self.into.get(port, [])
        tail = links[0].tail if links else None
        return tail is not None and tail.is_told and tail.strand.label == port.strand.label

    def _is_far(self, port: Port) -> bool:
        links = self.into.get(port, [])
        if len(links) != 1 or links[0].tail.strand.label == "":
            return False
        steps = 0
        tail = links[0].tail
        while tail.part.node.is_pass:
            steps += 1
            element = self.element[tail][0]
            before = self.into.get(element.ins[0][0], [])
            if not before:
                break
            tail = before[0].tail
        return steps > 0

    def _columns(self) -> list[Place]:
        places: list[Place] = []
        x = 0.0
        for layer, nodes in enumerate(self.found.nodes):
            lefts, rights, width = self._widths(nodes)
            body = x + lefts
            end = body + width
            right = end + rights
            places.append(Place(x, body, end, right))
            x = right + self._channel(layer)
        return places

    def _placed(self) -> list[Place]:
        """The columns, each line from the left, with the dashed lines between arrays."""
        self.dashed = separators(self.found)
        self.rises = rises(self.dashed)
        wrapped: list[Place] = []
        step = 0.0
        for layer, place in enumerate(self._columns()):
            if layer and self.lines[layer] != self.lines[layer - 1]:
                step = self._stub(layer - 1) + self._indent - place.left
            wrapped.append(
                Place(place.left + step, place.body + step, place.end + step, place.right + step)
            )
        return wrapped

    def _break(self) -> None:
        """Begin a new line where columns get too wide, but not among cups and dots."""
        start, offset = 0, 0.0
        for layer, place in enumerate(self.places):
            if layer > start and place.right - offset > self.width:
                cuts = range(layer - 1, start, -1)
                cut = next((c for c in cuts if self._may_break(c)), None)
                if cut is not None:
                    start = cut + 1
                    offset = self.places[start].left - self._stub(cut) - self._indent
                    for later in range(start, len(self.lines)):
                        self.lines[later] += 1

    def _may_break(self, layer: int) -> bool:
        links = self.found.links[layer]
        if self.found.cups[layer] or layer + 2 == len(self.found.nodes):
            return False
        return not any(link.tail.is_dot or link.head.is_dot for link in links)

    def _end(self, layer: int) -> float:
        """Where a column ends, with the ends of wires that are broken after it."""
        is_last = layer + 1 == len(self.lines) or self.lines[layer] == self.lines[layer + 1]
        stub = 0.0 if is_last else self._stub(layer) + self._indent
        return self.places[layer].right + stub

    def _stub(self, layer: int) -> float:
        """The length of the ends of wires where a line is broken after a column."""
        texts = [f"{link.tail.strand.label} {ELLIPSIS}" for link in self.found.links[layer]]
        return max((text_width(t, AXIS, "italic", self.font) + 10 for t in texts), default=14.0)

    @property
    def _indent(self) -> float:
        """How far broken ends of wires keep away from the sides of a frame."""
        return _FRAME if self.is_frame else 0.0

    def _tops(self, top: float) -> list[float]:
        """How far down the parts of each column go: lines stand one below the other."""
        tops: list[float] = []
        for row in range(self.lines[-1] + 1):
            layers = [i for i, each in enumerate(self.lines) if each == row]
            parts = [p for i in layers for node in self.found.nodes[i] for p in node.parts]
            high = min((part.y for part in parts), default=0.0)
            low = max((part.y + part.bottom for part in parts), default=0.0)
            tops += [top - high] * len(layers)
            top += low - high + _LINE_GAP
        return tops

    def _widths(self, nodes: list[Node]) -> tuple[float, float, float]:
        left = right = width = 0.0
        for node in nodes:
            for part in node.parts:
                for element in part.elements:
                    if element.picture is not None:
                        width = max(width, element.picture.width)
                        left = max(left, _MARGIN)
                        right = max(right, _MARGIN)
                    left = max(left, self._label_room(element.ins))
                    right = max(right, self._label_room(element.outs))
        return left, right, width

    def _label_room(self, bundles: list[list[Port]]) -> float:
        told = [port for bundle in bundles for port in bundle if port.is_told]
        return max((self._told_width(port) + 13 for port in told), default=0.0)

    def _told_width(self, port: Port) -> float:
        """The width of a label with the name of the array before it."""
        width = text_width(port.strand.label, AXIS, "italic", self.font)
        if port.name:
            width += text_width(port.name, WORDS, "roman", self.font) + _NAME_GAP
        if port.strand.tile:
            width += text_width(port.strand.tile, TILE, "bold", self.font) + _TILE_GAP
        return width

    def _channel(self, layer: int) -> float:
        links = self.found.links[layer]
        if layer + 1 == len(self.found.nodes):
            return 0.0
        rise = max((abs(link.tail.y - link.head.y) for link in links), default=0.0)
        width = _STRAIGHT if rise < 0.1 else min(22 + 0.45 * rise, _WIDEST_BEND)
        width = max(width, min(8 + 0.5 * self.rises.get(layer, 0.0), _WIDEST_BEND))
        # Wires bend only beyond the cups, so that each crosses a cup once or not at all.
        width += self._cups_room(layer)
        if any(link.head.is_dot or link.tail.is_dot for link in links):
            width = max(width, 18.0)
        if self.is_frame and layer in (0, len(self.found.nodes) - 2):
            width = max(width, _FRAME)
        return width

    def _cups_room(self, layer: int) -> float:
        ports = [sorted(cup.ports, key=lambda port: port.y) for cup in self.found.cups[layer]]
        return max((_bulge(*pair) + 4 for each in ports for pair in pairwise(each)), default=0.0)

    # ---- what stands in a column ----------------------------------------------------------------

    def _element(self, scene: Scene, element: Element, part: Part, place: Place) -> None:
        for bundle in element.ins:
            for port in bundle:
                if port.is_dot:
                    _dot(scene, port, place.left)
                self._label(scene, port, place.left + _MARGIN)
        for bundle in element.outs:
            for port in bundle:
                if port.is_dot:
                    _dot(scene, port, self._start(port, element, place)[0][0])
                self._label(scene, port, place.end + _MARGIN)
        picture = element.picture
        if picture is None:
            return
        box = _box_of(element, picture, part, place)
        is_frame = picture.shape in FRAMES
        shape = Shape(
            picture.id, picture.title, box, outlines(picture, box),
            texts(picture, box, self.font), is_frame=is_frame,
        )  # fmt: skip
        scene.shapes.append(shape)
        if picture.inner is not None:
            scene.place(picture.inner, box.left, box.top)

    def _label(self, scene: Scene, port: Port, label: float) -> None:
        """The label of a port, with the name of its array."""
        if port.is_told and port.strand.label:
            baseline = port.y - _LIFT
            text = port.strand.label
            if port.name:
                named = text_box(port.name, label, baseline, WORDS, "roman", self.font)
                scene.labels.append(
                    Label(port.name, label, baseline, WORDS, "roman", named, "muted")
                )
                label = named.right + _NAME_GAP
            at_box = text_box(text, label, baseline, AXIS, "italic", self.font)
            scene.labels.append(Label(text, label, baseline, AXIS, "italic", at_box))
            if port.strand.tile:
                self._tile(scene, port, at_box.right + _TILE_GAP)

    def _tile(self, scene: Scene, port: Port, x: float) -> None:
        """What is taken of an axis at a time, after its label."""
        baseline = port.y - _LIFT
        at = text_box(port.strand.tile, x, baseline, TILE, "bold", self.font)
        scene.labels.append(Label(port.strand.tile, x, baseline, TILE, "bold", at, "muted"))

    # ---- wires ----------------------------------------------------------------------------------

    def _wires(self, scene: Scene, port: Port) -> None:
        """The wires that begin at a port, each up to where it ends or passes a dot."""
        element, _ = self.element[port]
        is_out = any(port in bundle for bundle in element.outs)
        is_in = any(port in bundle for bundle in element.ins)
        place = self.places[port.part.node.layer]
        if is_in and not self.into.get(port):
            return
        if not is_out or self._goes_on(port):
            return
        starts = self._start(port, element, place)
        links = self.out.get(port, [])
        if not links:
            self._wire(scene, port, [*starts, *line(starts[-1], (place.right, port.y))])
        for link in links:
            self._follow(scene, port, starts, link)

    def _goes_on(self, port: Port) -> bool:
        """Whether the wire at a port is drawn together with the one that enters."""
        element = self.element[port][0]
        if element.picture is not None or not element.ins or port.is_dot:
            return False
        if element.ins[0][0].strand.level != self._level_before(element.ins[0][0]):
            return False
        if element.ins[0][0].strand.level != port.strand.level:
            return False
        into = self.into.get(element.ins[0][0], [])
        return len(into) == 1 and len(self.out.get(port, [])) < 2

    def _level_before(self, port: Port) -> str:
        """The memory that holds a wire before it comes to a port."""
        into = self.into.get(port, [])
        return into[0].tail.strand.level if into else port.strand.level

    def _start(self, port: Port, element: Element, place: Place) -> list[Point]:
        if element.picture is not None:
            box = _box_of(element, element.picture, port.part, place)
            x = edge(element.picture, box, port.y, is_left=False)
        elif element.ins:
            is_fork = port.is_dot and not element.ins[0][0].is_dot
            x = place.right if is_fork else place.left
        else:
            x = place.left if port.part.node is self.circuit.source else place.end
        return [(x, port.y)]

    def _follow(self, scene: Scene, port: Port, starts: list[Point], link: Link) -> None:
        points = list(starts)
        while True:
            layer = link.tail.part.node.layer
            here, there = self.places[layer], self.places[layer + 1]
            if self.lines[layer] != self.lines[layer + 1]:
                self._broken(scene, port, points, link)
                points = [(there.left - self._stub(layer), link.head.y)]
                points += line(points[-1], (there.left, link.head.y))
            start = here.right + self._cups_room(layer)
            if self.lines[layer] == self.lines[layer + 1]:
                points += line(points[-1], (start, link.tail.y))
                points += bend((start, link.tail.y), (there.left, link.head.y))
            element, part = self.element[link.head]
            if element.picture is not None:
                box = _box_of(element, element.picture, part, there)
                x = edge(element.picture, box, link.head.y, is_left=True)
                points += line(points[-1], (x, link.head.y))
                break
            if not element.outs:
                points += line(points[-1], (there.right, link.head.y))
                break
            out = element.outs[0][0]
            if not self._goes_on(out):
                start = self._start(out, element, there)[0]
                points += line(points[-1], start)
                break
            further = self.out.get(out, [])
            if not further:
                points += line(points[-1], (there.right, out.y))
                break
            link = further[0]
        has_head = self.element[link.head][0].picture is not None and not link.head.is_dot
        self._wire(scene, port, points, has_head=has_head)

    def _broken(self, scene: Scene, port: Port, points: list[Point], link: Link) -> None:
        """End a wire where its line is broken, and label it on both sides."""
        layer = link.tail.part.node.layer
        x, stub = self.places[layer].right, self._stub(layer)
        end = (x + stub, link.tail.y)
        self._wire(scene, port, [*points, *line(points[-1], end)], has_head=False)
        text = link.tail.strand.label
        there = self.places[layer + 1].left - stub
        for words, at, y in (
            (f"{text} {ELLIPSIS}", x + 6, link.tail.y),
            (f"{ELLIPSIS} {text}", there + 3, link.head.y),
        ):
            box = text_box(words, at, y - _LIFT, AXIS, "italic", self.font)
            scene.labels.append(Label(words, at, y - _LIFT, AXIS, "italic", box))

    def _wire(
        self, scene: Scene, port: Port, points: list[Point], *, has_head: bool = True
    ) -> None:
        role = "datum" if port.strand.is_datum else "axis"
        id_ = f"{port.array}.{port.strand.label}"
        scene.wires.append(Wire(id_, port.title, tidy(points), role, port.strand.level))
        if role == "datum" and has_head:
            x, y = points[-1]
            tip = ((x - _ARROW, y - 3.2), (x, y), (x - _ARROW, y + 3.2))
            box = Box(x - _ARROW, y - 3.2, x, y + 3.2)
            scene.shapes.append(Shape("", port.title, box, (Outline(tip, "dot"),), is_dot=True))

    def _cup(self, scene: Scene, cup: Cup, layer: int) -> None:
        x = self.places[layer].right
        ports = sorted(cup.ports, key=lambda port: port.y)
        apex = (x, ports[0].y)
        for upper, lower in pairwise(ports):
            bulge = _bulge(upper, lower)
            control = x + bulge * 4 / 3
            points = ((x, upper.y), (control, upper.y), (control, lower.y), (x, lower.y))
            name = f"{upper.array}.{upper.strand.label}.cup"
            scene.wires.append(Wire(name, upper.title, points, "cup", upper.strand.level))
            apex = (x + bulge, (upper.y + lower.y) / 2)
        for port in ports[1:-1]:
            _dot(scene, port, x)
        if cup.result is not None:
            there = self.places[layer + 1]
            end = (max(there.left, apex[0]), cup.result.y)
            points = tidy([apex, *bend(apex, end), *line(end, (there.end, cup.result.y))])
            name, level = f"{cup.result.array}.R", cup.result.strand.level
            scene.wires.append(Wire(name, cup.result.title, points, "axis", level))


def _dot(scene: Scene, port: Port, x: float) -> None:
    box = Box(x - _DOT, port.y - _DOT, x + _DOT, port.y + _DOT)
    corners = (
        (box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom)
    )  # fmt: skip
    outline = Outline(corners, "dot", is_round=True)
    scene.shapes.append(Shape("", port.title, box, (outline,), is_dot=True))


def _name_first(part: Part) -> None:
    """The name of an array stands before the label of its topmost wire."""
    ports = [port for element in part.elements for port in element.ports()]
    named = next((port for port in ports if port.name), None)
    if named is None:
        return
    first = min((p for p in ports if p.array == named.array), key=lambda p: (p.y, p is not named))
    first.name, named.name = named.name, first.name if first is not named else named.name
    first.is_told = True


def _box_of(element: Element, picture: Picture, part: Part, place: Place) -> Box:
    """Where a pictogram stands: in the middle of its column and of its element."""
    height = picture.height
    wires = max(sum(map(len, element.ins)), sum(map(len, element.outs)))
    if picture.shape not in STIFF and wires > 1:
        height = max(height, element.height - 6)
    middle = part.y + element.top + element.height / 2
    centre = (place.body + place.end) / 2
    half = picture.width / 2
    return Box(centre - half, middle - height / 2, centre + half, middle + height / 2)


def _bulge(upper: Port, lower: Port) -> float:
    """How far a cup reaches; one round another reaches further."""
    rise = abs(lower.y - upper.y)
    return min(rise / 2, 14 + 0.17 * rise)
