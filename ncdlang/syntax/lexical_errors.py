"""Texts that are no token of the language but are often written: how to read and report them."""

from __future__ import annotations

import re
from typing import NamedTuple

from ncdlang.diagnostics import Diagnostic, Fix
from ncdlang.source import Span
from ncdlang.spelling import closest
from ncdlang.syntax.lexer import MISTAKES, Tokens


class Meant(NamedTuple):
    """What a foreign operator was meant to be: a terminal (or none) with its text, and advice."""

    terminal: str
    text: str
    help: str = ""


_FOREIGN_OPERATORS = {
    "**": Meant("POWER", "^"),
    ":=": Meant("EQUAL", "="),
    "===": Meant("EQUALS", "=="),
    "=>": Meant("AT_LEAST", "", "a comparison is written `>=`, an arrow `->`"),
    "&&": Meant("AND", "and"),
    "&": Meant("AND", "and"),
    "||": Meant("OR", "or"),
    "<>": Meant("DIFFERS", "!="),
    "!": Meant("NOT", "not"),
    "-=": Meant("ADD_ASSIGN", "", "add the negative: `Y[i] += -X[i]`"),
    "/=": Meant("MULTIPLY_ASSIGN", "", "multiply by the inverse: `Y[i] *= 1 / X[i]`"),
    "//=": Meant("EQUAL", "", "write the whole right side: `Y[i] = X[i] // 2`"),
    "%=": Meant("EQUAL", "", "write the whole right side: `Y[i] = X[i] % 2`"),
    "^=": Meant("EQUAL", "", "write the whole right side: `Y[i] = X[i]^2`"),
}

_LOOKALIKES = {
    "\u2212": Meant("MINUS", "-"),
    "\u2013": Meant("MINUS", "-"),
    "\u2014": Meant("MINUS", "-"),
    "\u00d7": Meant("TIMES", "*"),
    "\u00b7": Meant("TIMES", "*"),
    "\u22c5": Meant("TIMES", "*"),
    "\u2217": Meant("TIMES", "*"),
    "\u00f7": Meant("DIVIDE", "/"),
    "\u2215": Meant("DIVIDE", "/"),
    "\u2264": Meant("AT_MOST", "<="),
    "\u2265": Meant("AT_LEAST", ">="),
    "\u2260": Meant("DIFFERS", "!="),
    "\u2192": Meant("ARROW", "->"),
    "\u27f6": Meant("ARROW", "->"),
    "\u2227": Meant("AND", "and"),
    "\u2228": Meant("OR", "or"),
    "\u00ac": Meant("NOT", "not"),
    "\u2223": Meant("BESIDE", "|"),
    "\u226b": Meant("COMPOSE", ">>"),
    "\u221e": Meant("", "inf"),
    "\u2032": Meant("", "'"),
    "\u2018": Meant("", "'"),
    "\u2019": Meant("", "'"),
    "\uff08": Meant("LPAR", "("),
    "\uff09": Meant("RPAR", ")"),
    "\uff0c": Meant("COMMA", ","),
    "\uff1a": Meant("COLON", ":"),
    "\uff1d": Meant("EQUAL", "="),
}

_REACH = 100
"""How many tokens before a `;` are looked at for an open bracket."""

_BRACKETS = {
    "(": "LPAR",
    ")": "RPAR",
    "[": "LSQB",
    "]": "RSQB",
    "{": "LBRACE",
    "}": "RBRACE",
    ",": "COMMA",
}

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")

_ADVICE = {
    ";": "a statement ends at the end of its line",
    "@": "a contraction names its axes: `Y[i j] = A[i k] * B[k j]`",
    "$": "names are letters, digits and `_`",
    "?": "a choice is written `where(condition, a, b)`",
    "'": "a prime belongs to a name: `x'`",
}


class Word(NamedTuple):
    """A word of another language: the keyword that was meant, if any, and advice."""

    terminal: str
    text: str
    help: str


def _words() -> dict[str, Word]:
    words: dict[str, Word] = {}
    meant = {
        "def fn func function fun module model class": ("_DIAGRAM", "a diagram is declared with"),
        "param parameter weight": ("_LEARN", "a learned parameter is declared with"),
        "import include require": ("_USE", "names of other files come with"),
        "dim dims": ("_AXIS", "an axis is declared with"),
        "require_that assume check": ("_ASSERT", "a constraint is stated with"),
        "ret yield output result give emit": ("_RETURN", "the result of a diagram is given by"),
    }
    for names, (terminal, rule) in meant.items():
        keyword = terminal.removeprefix("_").lower()
        for name in names.split():
            words[name] = Word(terminal, keyword, f"{rule} `{keyword}`")
    for name in ("let", "var", "val"):
        words[name] = Word("", "", "an equation defines its wire: `Y[i] = X[i]`")
    words["from"] = Word("_USE", "", "names of other files come with `use module.{name}`")
    words["if"] = words["elif"] = Word("", "", "a choice is written `where(condition, a, b)`")
    words["for"] = words["while"] = Word("", "", "an equation holds for every index of its axes")
    return words


FOREIGN_WORDS = _words()
_STATEMENTS = ("use", "axis", "const", "config", "op", "diagram", "learn", "block", "return")


def foreign_word(text: str) -> Word | None:
    """What a name that starts a statement, and has a value after it, was meant to be."""
    word = FOREIGN_WORDS.get(text)
    if word is None:
        keyword = closest(text, _STATEMENTS)
        if keyword is not None:
            return Word(f"_{keyword.upper()}", keyword, f"did you mean `{keyword}`?")
    return word


def read(tokens: Tokens, names: dict[str, int], start: int, end: int) -> None:
    """Report the text matched by one of `MISTAKES` and add the token that was meant, if any."""
    for pattern, reader in zip(MISTAKES, _READERS, strict=True):
        found = re.compile(pattern).match(tokens.source.text, start)
        if found and found.end() == end:
            reader(tokens, names, Span(tokens.source, start, end))
            return


def report_odd_name(tokens: Tokens, span: Span, name: str) -> None:
    """Report a name with characters that are neither letters nor digits: `x²`."""
    odd = next((c for c in name.rstrip("'") if not f"a{c}".isidentifier()), name[0])
    base, power = name[: name.index(odd)], name[name.index(odd) :].translate(_SUPERSCRIPTS)
    fix: Fix | None = None
    if base and power.isascii() and power.isdecimal():
        fix = _replace(span, f"{base}^{power}")
    rule = "a name is a letter or `_`, then letters, digits, `_`, then any number of `'`"
    _report(tokens, "NCD1004", f"{_shown(odd)} can't stand in a name", span, rule, fix)
    tokens.broken.append(span)


def report_foreign_word(tokens: Tokens, span: Span, word: Word) -> None:
    """Report a word of another language at the start of a statement: `def f(...)`."""
    fix = _replace(span, word.text) if word.text else None
    if word.terminal == "_USE":
        fix = _python_import(span) or fix
    tokens.findings.append(
        Diagnostic("NCD1008", f"`{span.text}` is not a keyword here", span, help=word.help, fix=fix)
    )
    tokens.broken.append(span if word.terminal == "_DIAGRAM" else span.lines())


_NUMBER_AHEAD = re.compile(r"\s*[\d(-]")
_IMPORT = re.compile(r"(?:from[ \t]+([\w.]+)[ \t]+)?import[ \t]+(\w[\w., \t]*)")


def _python_import(span: Span) -> Fix | None:
    """`from std.nn import linear` as `use std.nn.{linear}`."""
    line = _IMPORT.match(span.source.text, span.start)
    if line is None or ((line[1] is None) and "," in line[2]):
        return None
    names = line[2].strip()
    text = f"use {names}" if line[1] is None else f"use {line[1]}.{{{names}}}"
    return Fix(
        f"write `{text}`",
        ((Span(span.source, span.start, span.start + len(line[0].rstrip())), text),),
    )


def _report(
    tokens: Tokens, code: str, message: str, span: Span, rule: str = "", fix: Fix | None = None
) -> None:
    tokens.findings.append(Diagnostic(code, message, span, help=rule, fix=fix))


def _replace(span: Span, text: str, *, safe: bool = True) -> Fix:
    title = f"replace it by `{text}`" if text.strip() else "remove it"
    return Fix(title, ((span, text),), safe)


def _shown(character: str) -> str:
    """A character for a message: invisible ones by their number."""
    point = f"U+{ord(character):04X}"
    return f"`{character}`" if character.isprintable() and character != " " else point


def _comment(tokens: Tokens, _names: dict[str, int], span: Span) -> None:
    fix = _replace(Span(span.source, span.start, span.start + 2), "#")
    message = "`//` divides, it starts no comment"
    _report(tokens, "NCD1006", message, span, "a comment starts with `#`", fix)


def _block_comment(tokens: Tokens, names: dict[str, int], span: Span) -> None:
    text = span.text.removeprefix("/*").removesuffix("*/").removeprefix('"""').removesuffix('"""')
    mark = "##" if span.text.startswith('"') else "#"
    lines = [line.strip().removeprefix("* ") for line in text.strip().splitlines()]
    fix = _replace(span, "\n".join(f"{mark} {line}".rstrip() for line in lines) or mark, safe=False)
    message = "comments have no brackets: each line starts with `#`"
    if mark == "##":
        message = "documentation is not a string: each line starts with `##`"
    _report(tokens, "NCD1006", message, span, "", fix)
    if span.text.count("\n"):
        tokens.add(names["_NEWLINE"], span.end, span.end)


def _foreign_operator(tokens: Tokens, names: dict[str, int], span: Span) -> None:
    meant = _FOREIGN_OPERATORS[span.text]
    if span.text == "=>" and re.compile(r"\s*[\[(]").match(span.source.text, span.end):
        meant = Meant("ARROW", "->")
    # `**` between arrays may be a product of matrices.
    is_sure = span.text != "**" or _NUMBER_AHEAD.match(span.source.text, span.end) is not None
    fix = _replace(span, meant.text) if meant.text and is_sure else None
    word = f"; write `{meant.text}`" if meant.text else ""
    _report(tokens, "NCD1003", f"there is no operator `{span.text}`{word}", span, meant.help, fix)
    tokens.add(names[meant.terminal], span.start, span.end)
    if fix is None:
        tokens.broken.append(span.lines())


def _number(tokens: Tokens, names: dict[str, int], span: Span) -> None:
    text = span.text
    digits = text.replace("_", "")
    if digits.endswith(".") or digits.startswith("."):
        fixed = digits.removesuffix(".") if digits.endswith(".") else f"0{digits}"
        message, rule = f"`{text}` is not a number", "a point has digits on both sides: `0.5`"
    elif digits[1:2].isalpha() and _radix(digits) is not None:
        fixed, message = str(_radix(digits)), f"`{text}` is not a number"
        rule = "numbers are written in decimal"
    elif digits != text and digits.isdecimal():
        fixed, message, rule = digits, f"`{text}` is not a number", "digits are not grouped"
    else:
        number = text[: len(text) - len(text.lstrip("0123456789.eE+-"))]
        fixed = f"{number}*{text[len(number) :]}" if number[-1:].isdecimal() else ""
        message, rule = f"`{text}` is neither a number nor a name", "a product needs its `*`: `2*i`"
    fix = _replace(span, fixed, safe=False) if fixed else None
    _report(tokens, "NCD1005", message, span, rule, fix)
    tokens.add(names["NUMBER"], span.start, span.end)
    tokens.broken.append(span)


def _radix(text: str) -> int | None:
    """The value of `0x1F`."""
    try:
        return int(text, 0)
    except ValueError:
        return None


def _unterminated(tokens: Tokens, names: dict[str, int], span: Span) -> None:
    """Brackets and commas at the end of the line are not taken for a part of the string."""
    text = span.source.text
    end = span.start + max(len(span.text.rstrip("(){}[], \t\r")), 1)
    fix = Fix('add `"`', ((Span(span.source, end, end), '"'),))
    message = "this string is never closed"
    _report(tokens, "NCD1007", message, span, "a string ends on its line", fix)
    tokens.add(names["STRING"], span.start, end)
    for offset in range(end, span.end):
        if text[offset] in _BRACKETS:
            tokens.add(names[_BRACKETS[text[offset]]], offset, offset + 1)
    tokens.broken.append(span)


def _quoted(tokens: Tokens, names: dict[str, int], span: Span) -> None:
    fix = _replace(span, '"' + span.text[1:-1].replace('"', '\\"') + '"')
    message = f'a string stands in `"`, not in `{span.text[0]}`'
    _report(tokens, "NCD1003", message, span, "", fix)
    tokens.add(names["STRING"], span.start, span.end)


def _continuation(tokens: Tokens, _names: dict[str, int], span: Span) -> None:
    rule = "a line goes on in open brackets, after an operator, and when the next starts with one"
    fix = _replace(Span(span.source, span.start, span.start + 1), "", safe=False)
    _report(tokens, "NCD1002", "`\\` does not continue a line", span, rule, fix)


def _stray(tokens: Tokens, names: dict[str, int], span: Span) -> None:
    character = span.text
    meant = _LOOKALIKES.get(character)
    if meant is not None:
        message = f"{_shown(character)} (U+{ord(character):04X}) is not `{meant.text}`"
        _report(tokens, "NCD1002", message, span, "", _replace(span, meant.text))
        if meant.terminal:
            tokens.add(names[meant.terminal], span.start, span.end)
        else:
            tokens.broken.append(span)
        return
    message = f"unexpected character {_shown(character)}"
    if character.isspace() or character in "\u200b\u200c\u200d\u2060\ufeff":
        text = " " if character.isspace() else ""
        _report(
            tokens, "NCD1002", message, span, "blanks are spaces and tabs", _replace(span, text)
        )
        return
    fix = Fix("start a new line", ((span, "\n"),)) if character == ";" else None
    if character == ";" and _is_in_list(tokens, names):
        rule = "the entries of a list are separated by commas"
        _report(tokens, "NCD1002", message, span, rule, _replace(span, ","))
        tokens.add(names["COMMA"], span.start, span.end)
        return
    _report(tokens, "NCD1002", message, span, _ADVICE.get(character, ""), fix)
    if character == ";":
        tokens.add(names["_NEWLINE"], span.start, span.end)
    else:
        tokens.broken.append(span.lines())


def _is_in_list(tokens: Tokens, names: dict[str, int]) -> bool:
    """Whether parentheses or square brackets are open after the last token."""
    openers = {names["LPAR"]: names["RPAR"], names["LSQB"]: names["RSQB"]}
    closed = 0
    for kind in reversed(tokens.kinds[-_REACH:]):
        if kind in (names["LBRACE"], names["RBRACE"]):
            return False
        if kind in openers:
            closed -= 1
            if closed < 0:
                return True
        closed += kind in openers.values()
    return False


_READERS = (
    _comment,
    _block_comment,
    _block_comment,
    _foreign_operator,
    _number,
    _unterminated,
    _quoted,
    _continuation,
    _stray,
)
