"""Rows: the order of nodes, parts and strands in each column, with few crossings.

Sweeps sort every column by the barycentres of what it is linked to (Sugiyama, Tagawa and Toda,
1981), then neighbours change places as long as that takes crossings away.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from itertools import pairwise
from random import Random
from typing import TypeVar

from .layers import Columns
from .model import Cup, Element, Link, Node, Part, Port

Item = TypeVar("Item", Node, Part, Element, Port, list[Port])
Ranks = dict[Port, int]
Wanted = tuple[Sequence[Port], Sequence[Port]]
"""The ports of the first and of the last column in the order that suits what is beyond them."""

_Opened = tuple[list[list[Port]], list[list[Port]]]
State = list[list[tuple[Node, list[tuple[Part, list[Element], list[list[Port]], list[_Opened]]]]]]

_SWEEPS = 16
# How many sweeps may bring nothing.
_PATIENCE = 4
_SWITCHES, _DRIFTS = 8, 6
# How often to start anew, and how many wires that may be in all.
_RESTARTS, _EFFORT = 16, 1200


def order_rows(found: Columns, wanted: Wanted = ((), ()), variant: int = 0) -> None:
    """Order every column of the columns, in place; another `variant` looks elsewhere.

    Where an order is `wanted` at an end, each departure from it counts as a crossing.
    """
    rows = _Rows(found, wanted)
    rows.improve()
    best, state = rows.crossings(), rows.state()
    size = sum(map(len, found.links)) or 1
    shuffle = Random(variant // 2)
    for _ in range(min(_RESTARTS, _EFFORT // size)):
        if best == 0:
            break
        rows.shuffle(shuffle)
        rows.improve()
        crossings = rows.crossings()
        if crossings < best:
            best, state = crossings, rows.state()
    rows.restore(state)
    if variant % 2 == 0:
        rows.drift()


def count_crossings(links: Sequence[Link], cups: Sequence[Cup], right: Ranks, left: Ranks) -> int:
    """How often wires between two columns cross, at the ranks of their ends."""
    pairs = sorted((right[link.tail], left[link.head]) for link in links)
    return _inversions(pairs) + _cup_crossings(pairs, cups, right)


def _inversions(pairs: Sequence[tuple[int, int]]) -> int:
    total = 0
    seen: list[int] = []
    waiting: list[int] = []
    last = -1
    for tail, head in pairs:
        if tail != last:
            for each in waiting:
                insort(seen, each)
            waiting, last = [], tail
        total += len(seen) - bisect_right(seen, head)
        waiting.append(head)
    return total


def _cup_crossings(pairs: Sequence[tuple[int, int]], cups: Sequence[Cup], right: Ranks) -> int:
    if not cups:
        return 0
    tails = [tail for tail, _ in pairs]
    spans = [s for cup in cups for s in pairwise(sorted(right[port] for port in cup.ports))]
    total = 0
    for number, (low, high) in enumerate(spans):
        total += bisect_left(tails, high) - bisect_right(tails, low)
        for other_low, other_high in spans[number + 1 :]:
            apart = low < other_low < high < other_high or other_low < low < other_high < high
            total += apart
    return total


class _Rows:
    """The order of all columns, with what depends on it."""

    def __init__(self, found: Columns, wanted: Wanted) -> None:
        self.first, self.last = ({port: i for i, port in enumerate(each)} for each in wanted)
        self._more = 0
        self.layers = found.nodes
        self.links = found.links
        self.cups = found.cups
        self.before: dict[Port, list[Port]] = {}
        self.after: dict[Port, list[Port]] = {}
        for links in found.links:
            for link in links:
                self.before.setdefault(link.head, []).append(link.tail)
                self.after.setdefault(link.tail, []).append(link.head)
        self.left: Ranks = {}
        self.right: Ranks = {}
        for ranks, layer in ((self.first, self.layers[0]), (self.last, self.layers[-1])):
            for node in layer if ranks else ():
                for part in node.parts:
                    if part.is_free:
                        part.elements.sort(key=lambda e: min(ranks[port] for port in e.ports()))
                node.parts.sort(key=lambda part: min(ranks[port] for port in _part_ports(part)))
        for layer in range(len(self.layers)):
            self.rank(layer)

    # ---- measures -------------------------------------------------------------------------------

    def rank(self, layer: int) -> None:
        """Number the ports of a column from the top."""
        left = right = 0
        for node in self.layers[layer]:
            for part in node.parts:
                for element in part.elements:
                    for bundle in element.ins:
                        for port in bundle:
                            self.left[port] = left
                            left += 1
                    for bundle in element.outs:
                        for port in bundle:
                            self.right[port] = right
                            right += 1

    def between(self, layer: int) -> int:
        """The crossings after a column; those beyond the first and the last are only expected."""
        if layer < 0:
            return _inversions(sorted((rank, self.right[p]) for p, rank in self.first.items()))
        if layer == len(self.layers) - 1:
            return _inversions(sorted((self.left[p], rank) for p, rank in self.last.items()))
        return count_crossings(self.links[layer], self.cups[layer], self.right, self.left)

    def crossings(self) -> int:
        """All crossings."""
        return sum(self.between(layer) for layer in range(-1, len(self.layers)))

    def state(self) -> State:
        """The order as it is."""
        return [
            [(n, [(p, list(p.elements), [list(b) for b in _given(p)], _opened(p)) for p in n.parts])
             for n in nodes]
            for nodes in self.layers
        ]  # fmt: skip

    def restore(self, state: State) -> None:
        """An order as it was."""
        for layer, nodes in enumerate(state):
            self.layers[layer][:] = [node for node, _ in nodes]
            for node, parts in nodes:
                node.parts[:] = [part for part, *_ in parts]
                for part, elements, given, opened in parts:
                    part.elements[:] = elements
                    for element, bundles in zip(_open(part), opened, strict=True):
                        element.ins[:], element.outs[:] = bundles
                    for bundle, ports in zip(_given(part), given, strict=True):
                        bundle[:] = ports
            self.rank(layer)

    # ---- improvement ----------------------------------------------------------------------------

    def improve(self) -> None:
        """Sweep, then switch neighbours, and keep the best order that was seen."""
        best, state = self.crossings(), self.state()
        last = 0
        for sweep in range(_SWEEPS):
            if not best or sweep - last > _PATIENCE:
                break
            self.sweep(forward=sweep % 2 == 0)
            crossings = self.crossings()
            if crossings < best:
                best, state, last = crossings, self.state(), sweep
        self.restore(state)
        self._settle()

    def drift(self) -> None:
        """Let neighbours change places that may as well, and see what comes of it."""
        best, state = self.crossings(), self.state()
        for _ in range(_DRIFTS):
            if not best:
                break
            self.switch(drifts=True)
            self._settle()
            crossings = self.crossings()
            if crossings < best:
                best, state = crossings, self.state()
        self.restore(state)

    def _settle(self) -> None:
        for _ in range(_SWITCHES):
            if not self.switch():
                break

    def shuffle(self, random: Random) -> None:
        """Another order of what is free, to start from."""
        for layer, nodes in enumerate(self.layers):
            random.shuffle(nodes)
            for node in nodes:
                for part in node.parts:
                    if part.is_free:
                        random.shuffle(part.elements)
                    for element in _open(part):
                        random.shuffle(element.ins)
                        random.shuffle(element.outs)
                    for bundle in _given(part):
                        random.shuffle(bundle)
            self.rank(layer)

    # ---- sweeps ---------------------------------------------------------------------------------

    def sweep(self, *, forward: bool) -> None:
        """Sort every column by what it is linked to on one side."""
        layers = range(1, len(self.layers)) if forward else range(len(self.layers) - 2, -1, -1)
        for layer in layers:
            scale = self._scale(
                layer - 1 if forward else layer + 1, self.right if forward else self.left
            )
            wanted = self._wanted(forward, scale)
            for node in self.layers[layer]:
                for part in node.parts:
                    if part.is_free:
                        _sort(part.elements, _ports_of, wanted)
                    for element in _open(part):
                        _sort(element.ins if forward else element.outs, iter, wanted)
                if node.is_free:
                    _sort_bundles(node, wanted)
            _sort(self.layers[layer], _node_ports, wanted)
            self.rank(layer)

    def _scale(self, layer: int, ranks: Ranks) -> float:
        ports = [p for n in self.layers[layer] for p in _node_ports(n) if p in ranks]
        return 1.0 / max(len(ports), 1)

    def _wanted(self, forward: bool, scale: float) -> Callable[[Port], list[float]]:
        """Where a port wants to be: at the ranks of the ports it is linked to, scaled to 1."""
        near, ranks = (self.before, self.right) if forward else (self.after, self.left)

        def wanted(port: Port) -> list[float]:
            return [ranks[other] * scale for other in near.get(port, ())]

        return wanted

    # ---- switches -------------------------------------------------------------------------------

    def switch(self, *, drifts: bool = False) -> bool:
        """Let neighbours change places where that takes crossings away; whether any did.

        Where it `drifts`, they change places too if that makes no difference.
        """
        self._more = int(drifts)
        changed = False
        for layer, nodes in enumerate(self.layers):
            changed = self._switch_in(layer, nodes) or changed
            for node in nodes:
                if node.is_free:
                    changed = self._switch_parts(layer, node) or changed
                for part in node.parts:
                    if part.is_free:
                        changed = self._switch_in(layer, part.elements) or changed
                    for element in _open(part):
                        changed = self._switch_in(layer, element.ins) or changed
                        changed = self._switch_in(layer, element.outs) or changed
                    for bundle in _given(part):
                        changed = self._switch_in(layer, bundle) or changed
        return changed

    def _switch_parts(self, layer: int, node: Node) -> bool:
        """Bundles of a join change places; the signs between them stay."""
        if any(part.is_sign for part in node.parts):
            if len(node.parts) != 3:
                return False
            return self._tried(layer, node.parts, 0, 2)
        return self._switch_in(layer, node.parts)

    def _switch_in(self, layer: int, items: MutableSequence[Item]) -> bool:
        changed = False
        for place in range(len(items) - 1):
            changed = self._tried(layer, items, place, place + 1) or changed
        return changed

    def _tried(self, layer: int, items: MutableSequence[Item], one: int, two: int) -> bool:
        before = self.between(layer - 1) + self.between(layer)
        if not before:
            return False
        items[one], items[two] = items[two], items[one]
        self.rank(layer)
        if self.between(layer - 1) + self.between(layer) < before + self._more:
            return True
        items[one], items[two] = items[two], items[one]
        self.rank(layer)
        return False


def _sort(
    items: MutableSequence[Item],
    ports: Callable[[Item], Iterator[Port]],
    wanted: Callable[[Port], list[float]],
) -> None:
    """Sort by barycentre; what is linked to nothing stays beside what it stood beside."""
    if len(items) < 2:
        return
    keys: list[float] = []
    for item in items:
        places = [place for port in ports(item) for place in wanted(port)]
        keys.append(sum(places) / len(places) if places else keys[-1] if keys else -1.0)
    order = sorted(range(len(items)), key=lambda i: keys[i])
    items[:] = [items[i] for i in order]


def _given(part: Part) -> Iterator[list[Port]]:
    """Wires in an order that is free: of a box that only gives an array, or of a sketch."""
    for element in part.elements:
        if element.is_open:
            yield from element.ins
            yield from element.outs
        elif element.picture is not None and element.fixed is None and not element.ins:
            yield from element.outs


def _open(part: Part) -> Iterator[Element]:
    """The sketches of frames in a part."""
    return (element for element in part.elements if element.is_open)


def _opened(part: Part) -> list[_Opened]:
    return [(list(element.ins), list(element.outs)) for element in _open(part)]


def _sort_bundles(node: Node, wanted: Callable[[Port], list[float]]) -> None:
    """Sort the bundles of a join; the signs between them stay where they are."""
    places = [place for place, part in enumerate(node.parts) if not part.is_sign]
    bundles = [node.parts[place] for place in places]
    _sort(bundles, _part_ports, wanted)
    for place, part in zip(places, bundles, strict=True):
        node.parts[place] = part


def _ports_of(element: Element) -> Iterator[Port]:
    return element.ports()


def _part_ports(part: Part) -> Iterator[Port]:
    for element in part.elements:
        yield from element.ports()


def _node_ports(node: Node) -> Iterator[Port]:
    for part in node.parts:
        yield from _part_ports(part)
