"""The lines that work out which tiles of the streamed axis a kernel visits."""

from __future__ import annotations

from dataclasses import dataclass

from ncdlang.analysis.plan import Region
from ncdlang.analysis.terms import subterms
from ncdlang.analysis.visible import Range, visible
from ncdlang.semantics.types import Axis

from .expressions import Expressions
from .tiles import Dim, Scope, Value


@dataclass(eq=False, slots=True)
class Visits:
    """Writes the ends of ranges of tiles into a scope before the loop."""

    region: Region
    code: Expressions
    rows: Dim
    stream: Dim

    def range(self, scope: Scope) -> tuple[str, str]:
        """The ends of the tiles of the streamed axis in which a mask shows anything to a row."""
        first, last, length = "0", self.stream.length, self.stream.length
        found = visible(self.region)
        if found is None:
            return first, last
        start, stop = self._ends(found, scope)
        if start:
            block = self.stream.block
            first = self.code.names.claim("first")
            scope.write(f"{first} = tl.maximum({start}, 0) // {block} * {block}")
        if stop:
            last = self.code.names.claim("last")
            scope.write(f"{last} = tl.minimum({stop}, {length})")
        return first, last

    def share(self, scope: Scope, part: Axis, first: str, last: str) -> tuple[str, str]:
        """The ends of the tiles of one part, each of which has as many as the others."""
        block, claim = self.stream.block, self.code.names.claim
        count = self.code.arguments.size(part.size)
        share, begin, end = claim("share"), claim("begin"), claim("end")
        index = scope.env[part].indices[part]
        length = last if first == "0" else f"{last} - {first}"
        tiles = f"tl.cdiv(tl.maximum({length}, 0), {block})"
        scope.write(f"{share} = tl.cdiv({tiles}, {count}) * {block}")
        start = "" if first == "0" else f"{first} + "
        scope.write(f"{begin} = {start}{index}.to(tl.int32) * {share}")
        scope.write(f"{end} = tl.minimum({begin} + {share}, {last})")
        return begin, end

    def certain(
        self, scope: Scope, span: Range, visited: tuple[str, str], start: str, stop: str
    ) -> None:
        """The tiles that every row of a tile sees all of: from `start` up to `stop`.

        They lie between the two indices that are `visited`.
        """
        (first, length), block = visited, self.stream.block
        low, high = self._ends(span, scope)
        if low:
            low = f"tl.cdiv(tl.maximum({low}, 0), {block}) * {block}"
        scope.write(f"{start} = {f'tl.maximum({low}, {first})' if low else first}")
        high = f"tl.minimum({high}, {length})" if high else length
        scope.write(f"{stop} = tl.maximum({high} // {block} * {block}, {start})")

    def _ends(self, span: Range, scope: Scope) -> tuple[str, str]:
        """The texts of both ends of a range, "" where it is open."""
        dims = (self.rows, self.stream)
        ends = [span.start, span.stop]
        for fold in subterms(*(end for end in ends if end is not None)):
            if fold.op == "fold" and fold not in scope.folds:
                value = self.code.value(fold.args[0], scope, dims)
                text = f"tl.{fold.kind}({value.text}, axis=0)" if value.dims else value.text
                name = self.code.names.claim("highest" if fold.kind == "max" else "lowest")
                if fold.args[0].op == "index":
                    suffix = "high" if fold.kind == "max" else "low"
                    name = self.code.names.claim(f"{fold.args[0].data.name}_{suffix}")
                scope.write(f"{name} = {text}")
                scope.folds[fold] = Value(name, (), "integer", True)
        first, last = (self.code.value(end, scope, dims).text if end else "" for end in ends)
        return first, last
