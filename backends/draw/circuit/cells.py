"""Operations as circuits show them: each enters its arrays on a sheet and gives new ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ncdlang.ir.diagram import (
    Contraction,
    Edge,
    Library,
    Operand,
    Pointwise,
    Reduction,
)
from ncdlang.semantics.types import Axis, Wire

from ..groups import Group, wires_read
from ..phrases import phrase
from ..text import clean
from .composites import flatten, made_composites, taken_apart, whole_inlet
from .folding import is_plain
from .keys import Datum, Made, Target
from .masks import mask
from .model import Picture
from .pictograms import Pictograms
from .reindexings import reindexed
from .sheet import Inlet, Key, Outlet, Sheet, Spec, has_datum, through, typed
from .wording import COMMUTATIVE, factor, nothing, riding, sign

_LONGEST_SOURCE = 160
_REDUCTIONS = {"sum": "\N{GREEK CAPITAL LETTER SIGMA}", "prod": "\N{GREEK CAPITAL LETTER PI}"}


class Cells:
    """Puts single operations on a sheet. `path` leads the ids."""

    def __init__(self, sheet: Sheet, pictograms: Pictograms, path: tuple[str, ...]) -> None:
        self.sheet = sheet
        self.pictograms = pictograms
        self.path = path

    def at(self, edge: Edge, word: str = "op") -> tuple[str, ...]:
        """The parts of an operation's id."""
        names = [r.wire.name for r in edge.outputs if not r.wire.name.startswith("_")]
        return (*self.path, *(names or [word]), f"L{edge.span.line}")

    # ---- elementwise ----------------------------------------------------------------------------

    def elementwise(self, group: Group) -> None:
        """A function of single entries: a sign between two arrays, words on a wire, or a mask."""
        root = group.root
        inlets, names = self._outside(group)
        title = told(root)
        if len(inlets) == 1:
            square = mask(group, names[0])
            if square is not None and set(square.axes) <= set(inlets[0].keys):
                self._mask(group, inlets[0], square.polygons, list(square.axes))
                return
        symbol = sign(root) if self._is_bare(group, inlets) else ""
        signs: list[Picture] = []
        if symbol:
            signs = [self.pictograms.sign(symbol, title, *self.at(root))]
        name = root.operator.name if isinstance(root.operator, Pointwise) else ""
        picture = None
        called: list[str] = []
        if not signs and inlets:
            words, marks = riding(group, self.sheet.notation)
            picture = self.pictograms.pill(words, title, *self.at(root))
            called = [marks.get(wire, "") for wire in names]
        # Words name what they join, so that its order is free.
        is_free = any(called) or (bool(signs) and name in COMMUTATIVE)
        inlets = self.sheet.join(inlets, signs, names=called, is_free=is_free)
        if not inlets:
            text = phrase(group, self.sheet.notation, nothing).text
            picture = self.pictograms.box(text, title, *self.at(root))
        self._pointwise(root, inlets, picture)

    def _is_bare(self, group: Group, inlets: Sequence[Inlet]) -> bool:
        """Whether a group is one operation on two arrays, of entries that nothing stands for."""
        data = any(isinstance(key, Datum) for i in inlets for key in i.keys)
        return not group.folded and len(inlets) == 2 and not data

    def _outside(self, group: Group) -> tuple[list[Inlet], list[Wire]]:
        """What a group reads from outside, each array once for each way that it is read."""
        inlets: list[Inlet] = []
        names: list[Wire] = []
        # Folded operations are read in the order of the words.
        for operand in self._operands(group.root, group):
            if any(operand.wire is wire for wire in names) and is_plain(operand):
                continue
            names.append(operand.wire)
            inlets.append(self.inlet(operand, len(inlets)))
        return inlets, names

    def _operands(self, edge: Edge, group: Group) -> Iterable[Operand]:
        for operand in edge.inputs:
            inner = group.folded.get(operand.wire)
            if inner is None:
                yield operand
            else:
                yield from self._operands(inner, group)

    def inlet(self, operand: Operand, position: int, *, by_place: bool = False) -> Inlet:
        """An operand: tiled axes by the axis of the degree, targets by their own or their place.

        A tiled axis that is read askew goes through a reindexing of its own first.
        """
        array = self.sheet.made[operand.wire]
        axes = operand.wire.type.axes
        coordinates = list(operand.reindexing)
        if not is_plain_read(operand):
            operand = reindexed(self.sheet, self.pictograms, operand, self.path)
            array, axes = self.sheet.made[operand.wire], operand.wire.type.axes
            coordinates = list(operand.reindexing)
        keys: list[Key] = []
        for place, is_target in enumerate(operand.weave):
            if is_target:
                keys.append(Target(position, place) if by_place else axes[place])
            else:
                keys.append(coordinates.pop(0).axis)
        if len(array.strands) > len(axes):
            keys.append(Datum("in", position))
        return Inlet(array, keys)

    def _pointwise(self, edge: Edge, inlets: Sequence[Inlet], picture: Picture | None) -> None:
        """Merge strands that are read together; the picture rides on data or on the last strand."""
        have = {key for inlet in inlets for key in inlet.keys}
        data: list[Key] = [k for inlet in inlets for k in inlet.keys if isinstance(k, Datum)]
        out = edge.outputs[0].wire
        outs: list[Key] = [Datum("out", 0)] if has_datum(out.type) else []
        order = self._degree_order(edge)
        specs = [_strand(axis, have) for axis in order]
        if picture is not None or data or outs:
            if not data and not outs and specs:
                last = specs.pop()
                specs.append(Spec(last.ins, last.outs, picture))
            else:
                if picture is None:
                    picture = self.pictograms.pill(sign(edge) or "=", told(edge), *self.at(edge))
                specs.append(Spec([data], [outs], picture))
        self.give(edge, inlets, specs, [[*order, *outs]])

    def _degree_order(self, edge: Edge) -> list[Axis]:
        """The degree, in the order of the result."""
        wire = edge.outputs[0].wire
        return [
            atom
            for axis in wire.type.axes
            for atom in ((axis,) if axis in edge.degree else axis.atoms)
            if atom in edge.degree
        ]

    def _mask(
        self,
        group: Group,
        inlet: Inlet,
        polygons: tuple[tuple[tuple[float, float], ...], ...],
        axes: list[Axis],
    ) -> None:
        title = told(group.root)
        picture = Picture(
            "mask", self.pictograms.ids.new(*self.at(group.root)), title,
            width=42, height=42, points=polygons,
        )  # fmt: skip
        order = self._degree_order(group.root)
        specs = [through(axis) for axis in order if axis not in axes]
        specs.append(Spec([list(axes)], [list(axes)], picture))
        self.give(group.root, [inlet], specs, [order])

    # ---- sums -----------------------------------------------------------------------------------

    def contraction(self, group: Group) -> None:
        """Cups for the axes that are summed, dots for those that are shared."""
        edge = group.root
        operator = edge.operator
        assert isinstance(operator, Contraction)
        arrays = [o for o in edge.inputs if o.wire not in group.folded]
        factors = [group.folded[o.wire] for o in edge.inputs if o.wire in group.folded]
        inlets = self.sheet.join([self.inlet(o, i) for i, o in enumerate(arrays)], is_free=True)
        counts = {axis: sum(axis in i.keys for i in inlets) for axis in operator.axes}
        cups = self.sheet.contract(inlets, [axis for axis in operator.axes if counts[axis] > 1])
        data: list[Key] = [k for inlet in inlets for k in inlet.keys if isinstance(k, Datum)]
        out = edge.outputs[0].wire
        outs: list[Key] = [Datum("out", 0)] if has_datum(out.type) else []
        order = self._degree_order(edge)
        have = {key for inlet in inlets for key in inlet.keys}
        specs = [_strand(axis, have) for axis in order]
        bars = [axis for axis in operator.axes if counts[axis] == 1]
        at = self.at(edge)
        if bars or (data and not cups):
            picture = self.pictograms.bar(told(edge), *at)
            specs.append(Spec([list(bars), *([key] for key in data)], [outs], picture))
        elif data or outs:
            picture = self.pictograms.pill("\N{MULTIPLICATION SIGN}", told(edge), *at)
            if data:
                specs.append(self._scaled(specs, data, outs, picture))
            else:
                specs.append(Spec([], [outs]))
        words = [factor(each, group, self.sheet.notation) for each in factors]
        if words:
            self._ride(specs, self.pictograms.pill(" ".join(words), told(edge), *at))
        self.give(edge, inlets, specs, [[*order, *outs]])
        if outs and cups and not data and not bars:
            cups[-1].result = self.sheet.made[out].ports[-1]

    def _scaled(
        self, specs: list[Spec], data: Sequence[Key], outs: list[Key], picture: Picture
    ) -> Spec:
        """The pictogram that scalars enter; without a datatype it rides on the last strand."""
        ins: list[list[Key]] = [[key] for key in data]
        if outs or not specs:
            return Spec(ins, [outs], picture)
        last = specs.pop()
        return Spec([*last.ins, *ins], last.outs, picture)

    def _ride(self, specs: list[Spec], picture: Picture) -> None:
        """Put words on the last strand that has no pictogram."""
        last = specs[-1]
        if last.picture is None:
            specs[-1] = Spec(last.ins, last.outs, picture)
        else:
            first = specs[0]
            specs[0] = Spec(first.ins, first.outs, first.picture or picture)

    def reduction(self, edge: Edge) -> None:
        """A bar for a plain sum, a box for any other; the axes that are reduced end there."""
        operator = edge.operator
        assert isinstance(operator, Reduction)
        inlet = self.inlet(edge.inputs[0], 0)
        title, at = told(edge), self.at(edge)
        if operator.name == "sum":
            picture = self.pictograms.bar(title, *at)
        else:
            word = _REDUCTIONS.get(operator.name, operator.name)
            picture = self.pictograms.box(word, title, *at)
        ins: list[Key] = [key for key in inlet.keys if key not in edge.degree]
        out = edge.outputs[0].wire
        outs: list[Key] = [Datum("out", 0)] if has_datum(out.type) else []
        order = self._degree_order(edge)
        specs = _around(order, inlet.keys, ins, Spec([ins], [outs], picture))
        self.give(edge, [inlet], specs, [[*order, *outs]])

    # ---- calls ----------------------------------------------------------------------------------

    def call(self, edge: Edge, operator: Library) -> None:
        """A call that stays closed: target axes enter its pictogram, tiled ones pass it."""
        picture = self.pictograms.call(edge, operator, told(edge), *self.at(edge, "call"))
        self.boxed(edge, picture)

    def boxed(
        self,
        edge: Edge,
        picture: Picture,
        fixed: tuple[dict[Key, float], dict[Key, float]] | None = None,
        *,
        is_open: bool = False,
    ) -> None:
        """An operation as a pictogram that its targets enter.

        `fixed` gives the places where a frame's wires cross its sides; the sketch of a frame
        `is_open`.
        """
        inlets = [self.inlet(operand, i, by_place=True) for i, operand in enumerate(edge.inputs)]
        tiled = [a for a in edge.degree if any(a in i.keys for i in inlets)]
        if tiled and len(inlets) > 1:
            inlets = self.sheet.join(inlets)
        ins = [[k for k in i.keys if k not in tiled] for i in inlets]
        outs: list[list[Key]] = []
        keys: list[list[Key]] = []
        for position in range(len(edge.outputs)):
            made, own = self._made(edge, position)
            outs.append([key for key in made if key in own])
            keys.append(made)
        if fixed is not None:
            ins, outs = by_place(ins, fixed[0]), by_place(outs, fixed[1])
            box = Spec(ins, outs, picture, fixed[0], fixed[1])
        else:
            box = Spec(ins, outs, picture, is_open=is_open)
        lost = [axis for axis in edge.degree if axis not in tiled]
        first = inlets[0].keys if inlets else []
        if not any(ins) and tiled and fixed is None and not is_open:
            last = tiled[-1]
            box = Spec([[last]], [[last], *outs] if any(outs) else [[last]], picture)
            tiled = tiled[:-1]
        specs = _around(tiled, first, [k for bundle in ins for k in bundle], box)
        self.give(edge, inlets, [*specs, *(Spec([], [[axis]]) for axis in lost)], keys)

    def _made(self, edge: Edge, position: int) -> tuple[list[Key], set[Key]]:
        """The keys of a result's strands, and which of them the operator makes itself."""
        result = edge.outputs[position]
        keys: list[Key] = []
        own: set[Key] = set()
        for place, (axis, target) in enumerate(
            zip(result.wire.type.axes, result.weave, strict=True)
        ):
            if target:
                keys.append(Made(position, place))
                own.add(keys[-1])
            else:
                keys += [axis] if axis in edge.degree else axis.atoms
        if has_datum(result.wire.type):
            keys.append(Datum("out", position))
            own.add(keys[-1])
        return keys, own

    def repeated(self, edge: Edge, operator: Library, count: int) -> None:
        """Copies of a closed call: one box with their number."""
        picture = self.pictograms.call(edge, operator, told(edge), *self.at(edge, "call"))
        name = operator.callee.name
        picture = self.pictograms.box(
            f"{name} ^ {count}", told(edge), *self.at(edge, "call"), is_bold=picture.is_bold
        )
        self.boxed(edge, picture)

    def pass_on(self, wire: Wire, inlet: Inlet, order: list[Key]) -> None:
        """An array under another name, or with its axes in another order."""
        keys: list[Key] = [*wire.type.axes, *(k for k in order if isinstance(k, Datum))]
        before = [strand.label for strand in inlet.array.strands]
        if keys == inlet.keys and [s.label for s in self.sheet.strands(wire)] == before:
            self.sheet.made[wire] = inlet.array
            return
        self.sheet.operation([inlet], [through(key) for key in order], [Outlet(wire, keys)])
        for port, key in zip(self.sheet.made[wire].ports, keys, strict=True):
            port.is_told = port.strand.label not in before or key not in inlet.keys

    # ---- all ------------------------------------------------------------------------------------

    def give(
        self,
        edge: Edge,
        inlets: Sequence[Inlet],
        specs: Sequence[Spec],
        keys: Sequence[Sequence[Key]],
    ) -> None:
        """Add the operation; composite axes of its results are flattened after it."""
        outlets: list[Outlet] = []
        flat: list[tuple[Wire, Wire, list[Axis]]] = []
        for result, made in zip(edge.outputs, keys, strict=True):
            wire = result.wire
            composite = [
                axis
                for axis, target in zip(wire.type.axes, result.weave, strict=True)
                if not target and axis in made_composites(wire, edge.degree)
            ]
            if composite:
                wire = taken_apart(wire, composite)
                flat.append((wire, result.wire, composite))
            outlets.append(Outlet(wire, list(made)))
        self.sheet.operation(inlets, specs, outlets)
        for parts, wire, composite in flat:
            inlet = whole_inlet(self.sheet, parts)
            at = self.at(edge)
            flatten(self.sheet, self.pictograms, inlet, wire, composite, told(edge), at)


def is_plain_read(operand: Operand) -> bool:
    """Whether every tiled axis is read along one axis, each along another."""
    axes = [index.axis for index in operand.reindexing]
    return None not in axes and len(set(axes)) == len(axes)


def by_place(bundles: Sequence[list[Key]], places: Mapping[Key, float]) -> list[list[Key]]:
    """Bundles from the top, where the strands of each are together."""
    inside = [sorted(bundle, key=lambda k: places[k]) for bundle in bundles]
    return sorted(inside, key=lambda b: places[b[0]] if b else 0.0)


def told(edge: Edge) -> str:
    """What hovering shows: the types of the results, then the text as it was written."""
    text = clean(edge.span.text)
    if len(text) > _LONGEST_SOURCE:
        text = text[: _LONGEST_SOURCE - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return "\n".join((*(typed(result.wire) for result in edge.outputs), text))


def reads(edge: Edge) -> list[Wire]:
    """Every wire that an operation reads, once."""
    return list(dict.fromkeys(wire for wire, _ in wires_read(edge)))


def _strand(axis: Axis, have: set[Key]) -> Spec:
    """A strand of the degree; one that no input has begins here."""
    return through(axis) if axis in have else Spec([], [[axis]])


def _around(
    tiled: Sequence[Axis], keys: Sequence[Key], ins: Sequence[Key], box: Spec
) -> list[Spec]:
    """A box with the tiled strands over it that stand before what enters it, the rest below."""
    places = [place for place, key in enumerate(keys) if key in ins]
    first = min(places, default=len(keys))
    above = [axis for axis in tiled if axis in keys and keys.index(axis) < first]
    below = [axis for axis in tiled if axis not in above]
    return [*map(through, above), box, *map(through, below)]
