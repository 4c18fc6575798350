"""Random programs, and random ways to write each of them down, for the tests of the formatter."""

from __future__ import annotations

from functools import cache
from random import Random

from ncdlang.records import record
from ncdlang.source import Source
from ncdlang.syntax.language import language
from ncdlang.syntax.layout import arrange
from ncdlang.syntax.lexer import scan

AXES = ["x", "h", "k", "i'", "query_position", "c'", "α"]
WIRES = ["Q", "K", "S", "scores", "X'", "max", "normalised_activations"]
NUMBERS = ["0", "1", "64", "0.5", "1e-6"]
PRECEDENCES = {
    ">>": 1,
    "|": 2,
    "or": 3,
    "and": 4,
    "not": 5,
    "==": 6,
    "<=": 6,
    ">": 6,
    "+": 7,
    "-": 7,
    "*": 8,
    "/": 8,
    "//": 8,
    "%": 8,
    "^": 9,
}
BLANKS = ["", " ", "  ", "\t", "   "]
AFTER_CODE = "§"


class Writer:
    """Writes random correct statements; `room` bounds how deep they nest."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def one(self, *choices: str) -> str:
        return self.rng.choice(choices)

    def some(self, names: list[str], glue: str, most: int = 3) -> str:
        return glue.join(self.rng.choice(names) for _ in range(self.rng.randint(1, most)))

    # ---- expressions ----

    def expression(self, room: int, above: int = 0) -> str:
        """An expression whose operators bind tighter than those of precedence `above`."""
        offered = [op for op, level in PRECEDENCES.items() if level > above]
        if room <= 0 or not offered or self.rng.random() < 0.25:
            return self.operand(room)
        op = self.rng.choice(offered)
        if op == "not":
            return f"not {self.operand(room - 1)}"
        level = PRECEDENCES[op]
        count = 2 if level in (6, 9) else self.rng.randint(2, 5)
        return f" {op} ".join(self.expression(room - 1, level) for _ in range(count))

    def operand(self, room: int) -> str:
        if room <= 0:
            return self.one(self.rng.choice(WIRES), self.rng.choice(NUMBERS), "size(k)", "l.f")
        inner = self.expression
        kinds = {
            "wire": lambda: self.rng.choice(WIRES) + self.index(room - 1),
            "call": lambda: f"{self.one('f', 'where', 'l.f')}({self.arguments(room - 1)})",
            "both": lambda: f"sum{self.index(0)}({inner(room - 1)})",
            "none": lambda: "f()",
            "group": lambda: f"({inner(room - 1)})",
            "minus": lambda: f"-{self.rng.choice(WIRES)}",
            "tuple": lambda: self.one(f"({inner(room - 1)}, {inner(room - 2)})", "(X,)", "()"),
            "size": lambda: "size((h k))",
            "block": lambda: f'block "Core \\"x\\" #1" ({inner(room - 1)})',
        }
        return self.rng.choice(list(kinds.values()))()

    def arguments(self, room: int) -> str:
        return ", ".join(self.expression(room) for _ in range(self.rng.randint(1, 3)))

    def index(self, room: int) -> str:
        affine = "2*i + j", "4 * n - size(k)*h + 1", "(2*i + j) % 3", "n // 2", "-2*i", "T[n]"
        slot = {
            "names": lambda: self.some(AXES, " "),
            "affine": lambda: self.rng.choice(affine),
            "free": lambda: self.expression(room, 6),
            "setting": lambda: f"{self.one('value', 'h')} = {self.expression(room)}",
            "composite": lambda: "(h k)",
            "pack": lambda: "outs.. ins..",
        }
        slots = ", ".join(
            self.rng.choice(list(slot.values()))() for _ in range(self.rng.randint(1, 3))
        )
        return self.one(
            f"[{slots}]", f"[{slots}]", "[]", f"[{slots} -> {self.some(AXES, ' ')}]", "[k ->]"
        )

    # ---- statements ----

    def type(self) -> str:
        axes = f"[{self.some(AXES, ' ', 4)}]"
        return self.one(
            axes, axes, "[]", f"N(v){axes}", f"f32{axes}", f"({axes}, ([], {axes}))", "[x, (h k)]"
        )

    def statement(self, room: int) -> str:
        value = self.expression(self.rng.randint(0, 3))
        wire = f"{self.rng.choice(WIRES)}{self.one('', self.index(1))}"
        choices = [
            f"{wire} {self.one('=', '=', '=', '+=', '*=', 'max=', 'min=')} {value}",
            f"{wire} = {value}",
            f"A, B[i j], _ = {value}",
            f"Y: {self.type()}",
            f"learn {self.some(WIRES, ', ')}: {self.one('[f m]', 'linear[m -> h]', 'layer[h]^6')}",
            f"learn W: {self.one('[]', 'f32[x, (h k)]', '[m h]')} ~ {self.one('zeros', value)}",
            f"axis {self.one('j', 'j, n : set', 'n = 3 * size(k), m', 'j : set = ' + value)}",
            f"assert {value}",
        ]
        if room:
            choices.append(f'block "Title" {self.body(room - 1)}')
        return self.rng.choice(choices)

    def body(self, room: int) -> str:
        count = self.rng.choice([0, 1, 1, 2, 4])
        return "{ " + "\n".join(self.statement(room) for _ in range(count)) + " }"

    def declaration(self) -> str:
        inputs = ", ".join(
            f"{self.some(WIRES, ', ', 2)}: {self.type()}" for _ in range(self.rng.randint(0, 4))
        )
        formals = self.one(
            "", "", "[h, k = 64]", "[a b, const p = 0.1, c']", "[ins.. -> outs.., k]"
        )
        head = f"diagram f{formals}"
        settings = self.one("", "h = 8", "h = 8, k = 2 * size(h)", "depth = 6\nk = 3\nm = 512")
        tail = self.expression(self.rng.randint(0, 2))
        properties = self.one(
            "", " { linear }", ' { random, pictogram = "exp" }', " { a\nb = 1\n c }"
        )
        return self.one(
            f"{head}({inputs}) -> {self.type()} {self.body(2)}",
            f"{head}({inputs}) -> {self.type()} {{ return {tail}, X }}",
            f"{head}({inputs}) -> {self.type()} {{ return O[q h] = {tail} }}",
            f"{head} : {self.type()} -> {self.type()} = {self.expression(3)}",
            f"op exp{formals}: {self.type()} -> {self.type()}{properties}",
            f"config small {{ {settings} }}",
            f"const depth = {tail}",
            self.one("axis h", "axis h, k = 64", "axis m : set = size(h)"),
            self.one("use layers", "use std.nn as n", "use std.nn.{linear, rms_norm as norm}"),
            f"assert {tail}",
        )

    def program(self) -> str:
        count = self.rng.randint(1, 4)
        return "\n".join(self.declaration() for _ in range(count)) + "\n"


# ---- layouts ---------------------------------------------------------------------------------


@record(eq=False)
class Place:
    """Where a token stands: the tokens round it, and what the line may do before it.

    A line may end before a token where `legal`, and `free` if that means nothing to the formatter.
    """

    kind: str
    text: str
    previous: str
    legal: bool
    free: bool
    opens_body: bool


def places(program: str) -> list[Place]:
    """All tokens of a program."""
    made = language()
    tokens = arrange(scan(Source("t", program), made.lexicon), made.kinds)
    terminals = made.tables.terminals
    leads = {terminals[kind] for kind in made.kinds.leads}
    continues = {terminals[kind] for kind in made.kinds.continues}
    found: list[Place] = []
    brackets: list[str] = []
    head, previous = "", "_NEWLINE"
    for place, number in enumerate(tokens.kinds[:-1]):
        kind, text = terminals[number], tokens.text(place)
        if previous in ("_NEWLINE", "BODY"):
            head = kind
        inside = bool(brackets) and brackets[-1] != "BODY"
        legal = inside or kind in leads or previous in continues
        kept = {kind, previous} & ((leads - {"EQUAL"}) | {"LBRACE", "_NEWLINE"})
        kept_comma = "COMMA" in (kind, previous) and not inside
        kept_equal = "EQUAL" in (kind, previous) and not inside and head == "_DIAGRAM"
        in_braces = inside and brackets[-1] == "LBRACE"
        opens = previous in ("LPAR", "LSQB")
        free = legal and not (kept or kept_comma or kept_equal or in_braces or opens)
        found.append(Place(kind, text, previous, legal, free and bool(text), previous == "BODY"))
        previous = kind
        if kind in ("LPAR", "LSQB", "LBRACE"):
            if kind == "LBRACE" and head in ("_DIAGRAM", "_BLOCK"):
                previous = "BODY"
            brackets.append(previous)
        elif kind in ("RPAR", "RSQB", "RBRACE"):
            brackets.pop()
    return found


class Layout:
    """The line ends and comments that an author chose for a program.

    `write` gives texts that differ from each other in nothing that means anything.
    """

    def __init__(self, program: str, rng: Random, *, comments: bool) -> None:
        self.rng = rng
        self.comments = comments
        self.places = places(program)
        self.gaps = [self._gap(place) for place in self.places]
        self.end = self._line_ends()

    def _gap(self, place: Place) -> str:
        """What stands before a token: nothing, or line ends with comments."""
        if place.kind == "_NEWLINE" or not place.text:
            return ""
        if place.previous == "_NEWLINE":
            return self._line_ends()
        if place.kind == "LBRACE" and place.previous != "DOT":
            return ""
        likely = 0.5 if place.opens_body or place.kind == "RBRACE" else 0.12 * place.legal
        return self._line_ends() if self.rng.random() < likely else ""

    def _line_ends(self) -> str:
        rng = self.rng
        text = ""
        if self.comments and rng.random() < 0.3:
            text += AFTER_CODE + rng.choice(["# after", "## doc?", "#", "# after   "])
        text += "\n" * rng.choice([1, 1, 1, 2, 4])
        while self.comments and rng.random() < 0.2:
            text += rng.choice(["# own", "## own", "#### own  "]) + "\n" * rng.choice([1, 1, 2])
        return text

    def write(self, rng: Random) -> str:
        """One way to write it: any blanks, and line ends where they mean nothing."""
        text = ""
        before = ""
        for place, gap in zip(self.places, self.gaps, strict=True):
            if place.kind == "_NEWLINE" or not place.text:
                before = "" if place.kind == "_NEWLINE" else before
                text += "\n" * (place.kind == "COMMA")
                continue
            text += self._spaced(gap, rng) if gap else self._blank(before, place, rng)
            text += place.text
            before = place.text
        return text + self._spaced(self.end, rng)

    def _blank(self, before: str, place: Place, rng: Random) -> str:
        if not before or "." in (before, place.text):  # `// l. f` looks like a comment
            return ""
        # Two spaces before `=` may align it with another one, which means something.
        is_equal = place.kind.endswith("_ASSIGN") or place.kind == "EQUAL"
        blank = rng.choice(BLANKS[:2] if is_equal else BLANKS)
        if place.free and rng.random() < 0.1:
            blank = f"\n{blank}"
        return blank or " " * is_glued(before, place.text)

    def _spaced(self, gap: str, rng: Random) -> str:
        """Line ends with any blanks round them; more than two align a comment."""
        written = gap.replace("\n", f"\n{rng.choice(BLANKS)}")
        return written.replace(AFTER_CODE, rng.choice(BLANKS[:3]))


@cache
def is_glued(left: str, right: str) -> bool:
    """Whether two tokens would be read as something else without a blank between them."""
    made = language()
    tokens = scan(Source("t", left + right), made.lexicon)
    texts = [tokens.text(place) for place in range(len(tokens.kinds) - 1)]
    return texts != [left, right] or bool(tokens.findings)
