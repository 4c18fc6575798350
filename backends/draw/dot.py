"""A dataflow picture as DOT text: fonts, colours and spacing. `dot` finds the positions."""

from __future__ import annotations

from collections.abc import Iterator

from .palette import Palette
from .picture import End, Frame, Item, Label, Link, Node, Picture, Port, Role
from .text import clean, html, quoted, quoted_lines, wrapped

# Metric-compatible everywhere: Helvetica, Arial and Liberation Sans have letters of one width.
_FONT = "Helvetica,Arial,Liberation Sans,sans-serif"
_TEXT, _SMALL = 13, 11
_PORT_PADDING = 5
_TITLE_WIDTH = 34
_INDENT = "  "
_BOXES = ("equation", "call", "learned")


def dot_text(picture: Picture, colours: Palette) -> str:
    """The picture as DOT, ending in a line end; the same picture gives the same text."""
    writer = _Writer(colours, {node.name: node.role for node in _nodes(picture)})
    return "\n".join(writer.graph(picture)) + "\n"


def tooltips(picture: Picture) -> dict[str, str]:
    """What hovering shows, by the id of every node, frame and wire."""
    found = {node.id: "\n".join(node.tooltip) for node in _nodes(picture)}
    found |= {frame.id: "\n".join(frame.tooltip) for frame in _frames(picture.items)}
    return found | {link.id: link.tooltip for link in picture.links}


def _nodes(picture: Picture) -> Iterator[Node]:
    yield from picture.inputs
    yield from picture.outputs
    yield from _nodes_in(picture.items)


def _nodes_in(items: tuple[Item, ...]) -> Iterator[Node]:
    for item in items:
        if isinstance(item, Node):
            yield item
        else:
            yield from _nodes_in(item.items)


def _frames(items: tuple[Item, ...]) -> Iterator[Frame]:
    for item in items:
        if isinstance(item, Frame):
            yield item
            yield from _frames(item.items)


class _Writer:
    def __init__(self, colours: Palette, roles: dict[str, Role]) -> None:
        self.colours = colours
        self.roles = roles

    def graph(self, picture: Picture) -> Iterator[str]:
        """The lines of the whole graph."""
        c = self.colours
        font = f"fontname={quoted(_FONT)}"
        yield f"digraph {quoted(picture.name)} {{"
        yield (
            f"{_INDENT}graph [rankdir=LR, newrank=true, nodesep=0.3, ranksep=0.45, pad=0.2, "
            f"bgcolor={quoted(c.paper)}, {font}, fontsize={_SMALL}, fontcolor={quoted(c.ink)}, "
            f"tooltip={quoted(picture.tooltip)}]"
        )
        yield f"{_INDENT}node [shape=plain, {font}, fontsize={_TEXT}, fontcolor={quoted(c.ink)}]"
        yield (
            f"{_INDENT}edge [color={quoted(c.line)}, penwidth=1.1, arrowsize=0.6, "
            f"{font}, fontsize={_SMALL}, fontcolor={quoted(c.ink)}]"
        )
        yield from self._terminals(picture.inputs, "source")
        for item in picture.items:
            yield from self._item(item, 1, 0)
        yield from self._terminals(picture.outputs, "sink")
        for link in picture.links:
            yield self._link(link)
        yield from self._margins(picture)
        yield "}"

    def _margins(self, picture: Picture) -> Iterator[str]:
        """Invisible edges that keep the frames out of the columns of the terminals.

        What nothing leads to, a parameter, would stand in the column of the inputs if the box
        that reads it stands beside that column. Others are left where their readers are: an
        edge across the whole drawing costs `dot` more time than all of its boxes.
        """
        tails: dict[str, set[str]] = {}
        for link in picture.links:
            tails.setdefault(link.head.node, set()).add(link.tail.node)
        inputs = {node.name for node in picture.inputs}
        frames = tuple(item for item in picture.items if isinstance(item, Frame))
        loose = {node.name for node in _nodes_in(picture.items) if node.name not in tails}
        beside = {name for name, before in tails.items() if before <= inputs | loose}
        early = {link.tail.node for link in picture.links if link.head.node in beside} & loose
        used = {link.tail.node for link in picture.links}
        for node in _nodes_in(frames):
            if picture.inputs and node.name in early:
                yield _invisible(picture.inputs[0].name, node.name)
            if picture.outputs and node.name not in used:
                yield _invisible(node.name, picture.outputs[0].name)

    def _terminals(self, nodes: tuple[Node, ...], rank: str) -> Iterator[str]:
        """Terminals in one column."""
        if not nodes:
            return
        yield f"{_INDENT}{{"
        yield f"{_INDENT * 2}rank={rank}"
        for node in nodes:
            yield self._node(node, 2)
        yield f"{_INDENT}}}"

    def _item(self, item: Item, depth: int, level: int) -> Iterator[str]:
        if isinstance(item, Node):
            yield self._node(item, depth)
            return
        indent = _INDENT * depth
        yield f"{indent}subgraph cluster_{item.name} {{"
        yield f"{indent}{_INDENT}graph [{self._frame(item, level)}]"
        for inner in item.items:
            yield from self._item(inner, depth + 1, level + (not item.is_call))
        yield f"{indent}}}"

    def _frame(self, frame: Frame, level: int) -> str:
        """The attributes of a frame: filled for a block, dashed for an opened call."""
        c = self.colours
        title = _lines(frame.title, 2 * _TITLE_WIDTH)
        tag = "I" if frame.is_call else "B"
        label = f"<<{tag}>{title}</{tag}>>" if title else '""'
        if frame.is_call:
            look = (
                f'style="rounded,dashed,filled", fillcolor={quoted(c.paper)}, '
                f"color={quoted(c.call_border)}"
            )
        else:
            fill = c.blocks[level % len(c.blocks)]
            look = (
                f'style="rounded,filled", fillcolor={quoted(fill)}, color={quoted(c.block_border)}'
            )
        return (
            f"id={quoted(frame.id)}, label={label}, labeljust=l, margin=12, {look}, "
            f"tooltip={quoted_lines(frame.tooltip)}"
        )

    # ---- nodes ----------------------------------------------------------------------------------

    def _node(self, node: Node, depth: int) -> str:
        shared = f"id={quoted(node.id)}, tooltip={quoted_lines(node.tooltip)}"
        start = f"{_INDENT * depth}{node.name} ["
        c = self.colours
        match node.role:
            case "fork":
                look = f'shape=circle, style=filled, label="", width=0.07, color={quoted(c.line)}'
                return f"{start}{shared}, {look}, fillcolor={quoted(c.line)}]"
            case "input" | "output":
                return f"{start}{shared}, label=<{self._terminal(node)}>]"
            case "parameter":
                return f"{start}{shared}, label=<{self._parameter(node)}>]"
            case "equation" | "call" | "learned":
                return f"{start}{shared}, label=<{self._box(node)}>]"

    def _terminal(self, node: Node) -> str:
        label = node.label or Label("", "", ())
        return _table(f"<TR><TD>{self._named(label)}</TD></TR>", 'CELLPADDING="3"')

    def _parameter(self, node: Node) -> str:
        c = self.colours
        label = node.label or Label("", "", ())
        look = (
            f'STYLE="ROUNDED" BORDER="2" COLOR="{c.learned_border}" BGCOLOR="{c.learned}" '
            'CELLPADDING="4"'
        )
        return _table(f"<TR><TD>{self._named(label)}</TD></TR>", look)

    def _box(self, node: Node) -> str:
        """A table of three columns: what comes in, the words, what goes out."""
        fill, border, width = self._look(node.role)
        cells = "".join(
            (
                self._ports(node.inputs),
                f'<TD CELLPADDING="6">{self._words(node)}</TD>',
                self._ports(node.outputs),
            )
        )
        look = f'STYLE="ROUNDED" BORDER="{width}" COLOR="{border}" BGCOLOR="{fill}" CELLPADDING="0"'
        return _table(f"<TR>{cells}</TR>", look)

    def _look(self, role: Role) -> tuple[str, str, int]:
        c = self.colours
        match role:
            case "learned":
                return c.learned, c.learned_border, 2
            case "call":
                return c.call, c.call_border, 1
            case _:
                return c.equation, c.equation_border, 1

    def _words(self, node: Node) -> str:
        text = _lines(node.title, _TITLE_WIDTH)
        if node.role == "learned" and text:
            text = f"<B>{text}</B>"
        notes = _lines(node.note, _TITLE_WIDTH)
        if notes:
            text += f'<BR/><FONT POINT-SIZE="{_SMALL}" COLOR="{self.colours.muted}">{notes}</FONT>'
        return text

    def _ports(self, ports: tuple[Port, ...]) -> str:
        if not ports:
            return ""
        rows = "".join(
            f'<TR><TD PORT="{port.key}" ALIGN="LEFT">{self._port(port)}</TD></TR>' for port in ports
        )
        # The font stands round the table: inside a cell the line would keep its full height.
        table = _table(rows, f'CELLPADDING="{_PORT_PADDING}"')
        return f'<TD><FONT POINT-SIZE="{_SMALL}">{table}</FONT></TD>'

    def _port(self, port: Port) -> str:
        if not port.is_told:
            return ""
        name = f"{html(port.label.name)} " if port.label.name else ""
        return name + self._axes(port.label, brackets=False)

    # ---- arrays ---------------------------------------------------------------------------------

    def _named(self, label: Label) -> str:
        name = _lines(label.name, _TITLE_WIDTH)
        name = f"<B>{name}</B> " if name else ""
        return f'{name}<FONT POINT-SIZE="{_SMALL}">{self._axes(label, brackets=True)}</FONT>'

    def _axes(self, label: Label, *, brackets: bool) -> str:
        """The axes of an array in lines, those that the operation consumes in bold."""
        opening, closing = "[]" if brackets or not label.axes else ("", "")
        start = clean(label.kind) + (opening or " " * bool(label.kind))
        runs = [(start, False)]
        length = len(start)
        for position, (axis, is_target) in enumerate(label.axes):
            text = clean(axis)
            length += len(text) + 1
            if position:
                runs.append((" " if length <= _TITLE_WIDTH else "\n", False))
            if length > _TITLE_WIDTH:
                length = len(text)
            runs.append((text, is_target))
        runs.append((closing, False))
        return "".join(self._axis_run(text, is_target) for text, is_target in _joined(runs))

    def _axis_run(self, text: str, is_target: bool) -> str:
        c = self.colours
        told = "<BR/>".join(html(line) for line in text.split("\n"))
        if is_target:
            return f'<FONT COLOR="{c.target}"><B>{told}</B></FONT>'
        return f'<FONT COLOR="{c.muted}">{told}</FONT>'

    # ---- wires ----------------------------------------------------------------------------------

    def _link(self, link: Link) -> str:
        attributes = [f"id={quoted(link.id)}", f"tooltip={quoted(link.tooltip)}"]
        if link.label is not None:
            attributes.append(f"label=<{self._named(link.label)}>")
            attributes.append(f"labeltooltip={quoted(link.tooltip)}")
        if self.roles[link.head.node] == "fork":
            attributes.append("arrowhead=none")
        if self.roles[link.tail.node] in ("input", "fork"):
            # Boxes that read one wire stand in one column, beside what makes it.
            attributes.append("weight=2")
        tail, head = self._end(link.tail, "e"), self._end(link.head, "w")
        return f"{_INDENT}{tail} -> {head} [{', '.join(attributes)}]"

    def _end(self, end: End, side: str) -> str:
        """An end at its port; wires leave to the right and come in from the left."""
        if self.roles[end.node] == "fork":
            return end.node
        return ":".join(filter(None, (end.node, end.port, side)))


def _joined(runs: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Runs of text with neighbours of one look made one, empty ones left out."""
    joined: list[tuple[str, bool]] = []
    for text, is_target in runs:
        if text and joined and joined[-1][1] == is_target:
            joined[-1] = (joined[-1][0] + text, is_target)
        elif text:
            joined.append((text, is_target))
    return joined


def _lines(text: str, width: int) -> str:
    """Text wrapped for an HTML-like label; "" where there is nothing to see."""
    return "<BR/>".join(html(line) for line in wrapped(text, width))


def _invisible(tail: str, head: str) -> str:
    return f"{_INDENT}{tail} -> {head} [style=invis, weight=0]"


def _table(rows: str, look: str) -> str:
    border = "" if "BORDER=" in look else 'BORDER="0" '
    return f'<TABLE {border}CELLBORDER="0" CELLSPACING="0" {look}>{rows}</TABLE>'
