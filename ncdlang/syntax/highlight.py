"""Generates the TextMate grammar, from which editors and Pygments colour programs.

Keywords, operators, names and numbers are read off `grammar/ncd.lark`. What is written here is
only what a name is by its surroundings: an axis in brackets, a type after a colon, a declaration
after its keyword. A keyword or operator that is new in the grammar is coloured without a change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ncdlang.records import record
from ncdlang.syntax.tables import Tables

Rule: TypeAlias = dict[str, object]

_KEYWORDS = {
    "use": "keyword.control.import",
    "as": "keyword.control.import",
    "return": "keyword.control.return",
    "assert": "keyword.control.assert",
    "and": "keyword.operator.logical",
    "or": "keyword.operator.logical",
    "not": "keyword.operator.logical",
    "size": "keyword.other.size",
}
_DECLARES = "storage.type"
"""The scope of all other keywords: they declare something, or a part of it."""

_NAMES = {
    "diagram": "entity.name.function.diagram",
    "op": "entity.name.function.op",
    "config": "entity.name.type.config",
    "const": "variable.other.constant",
}
"""What a name is that follows a keyword."""

_OPERATORS = {
    "COMPOSE BESIDE": "keyword.operator.composition",
    "ARROW": "keyword.operator.arrow",
    "EQUALS DIFFERS AT_MOST AT_LEAST LESS GREATER": "keyword.operator.comparison",
    "PLUS MINUS TIMES DIVIDE FLOOR_DIVIDE MODULO POWER": "keyword.operator.arithmetic",
    "EQUAL ADD_ASSIGN MULTIPLY_ASSIGN MAX_ASSIGN MIN_ASSIGN": "keyword.operator.assignment",
    "DOTS": "keyword.operator.pack",
    "COMMA": "punctuation.separator.comma",
    "COLON": "punctuation.separator.colon",
    "DOT": "punctuation.accessor",
    "LBRACE RBRACE": "punctuation.section.braces",
    "LPAR RPAR": "punctuation.section.parens",
    "LSQB RSQB": "punctuation.section.brackets",
}
_OTHER_OPERATOR = "keyword.operator"

_AXIS = "entity.name.type.axis"
_WIRE = "variable.other.wire"
_FUNCTION = "entity.name.function.call"
_LIBRARY = "support.function.library"
_SETTING = "variable.parameter.setting"
_CONSTANT = "constant.language"
_TYPE = "support.type.format"
_SUFFIX = ".ncd"

_END_OF_TYPE = r"(?=[,)={}~#|])|(?=->)|(?=>>)|$"
_END_OF_LIST = r"(?=[#{}])|(?<!,)$"
"""A list of names goes on in the next line after a comma."""


_NOT_LITERAL = frozenset(("NAME", "NUMBER", "STRING", "COMMENT", "BLANK", "_NEWLINE"))


@record
class Vocabulary:
    """The words that have a meaning without being keywords: names of the library and of the
    compiler's own functions, types, constants, and the structures of an axis."""

    library: tuple[str, ...]
    types: tuple[str, ...]
    constants: tuple[str, ...]
    structures: tuple[str, ...]


def textmate(tables: Tables, words: Vocabulary) -> str:
    """The grammar as JSON text, ending in a line end."""
    rules = _Rules(tables, words)
    grammar = {
        "information_for_contributors": ["Generated from grammar/ncd.lark: `make grammars`."],
        "name": "NCD",
        "scopeName": "source.ncd",
        "fileTypes": ["ncd"],
        "patterns": [_include("statements")],
        "repository": {name: {"patterns": each} for name, each in rules.repository().items()},
    }
    return json.dumps(grammar, indent=2, ensure_ascii=False) + "\n"


class _Rules:
    """The rules for given tables and words."""

    def __init__(self, tables: Tables, words: Vocabulary) -> None:
        patterns = {name: _portable(pattern) for name, pattern in tables.patterns}
        self.words = words
        self.name, self.number = patterns["NAME"], patterns["NUMBER"]
        literals = {name: pattern for name, pattern in patterns.items() if name not in _NOT_LITERAL}
        texts = {name: pattern.partition("(?")[0] for name, pattern in literals.items()}
        self.word = {
            text: rf"(?<![\w'])({literals[name]})" for name, text in texts.items() if text.isalpha()
        }
        self.operators = {
            name: pattern for name, pattern in literals.items() if not texts[name].isalpha()
        }
        self.word_operators = {
            name: pattern for name, pattern in self.operators.items() if pattern[0].isalpha()
        }

    def repository(self) -> dict[str, list[Rule]]:
        """All sets of rules; the order within each matters."""
        return {
            "statements": [
                *_includes("comments", "use", "declarations", "axis", "learn", "expression")
            ],
            "comments": self._comments(),
            "use": [self._use()],
            "declarations": self._declarations(),
            "axis": [self._axis()],
            "learn": [self._learn()],
            "types": self._types(),
            "type": self._type(),
            "expression": self._expression(),
            "index": self._index(),
            "literals": self._literals(),
            "keywords": self._keywords(),
            "operators": self._operators(),
        }

    # ---- what looks the same everywhere ----

    def _comments(self) -> list[Rule]:
        return [
            _captured(r"^[ \t]*(##[^\r\n]*)", "comment.line.documentation"),
            _match(r"#[^\r\n]*", "comment.line.number-sign"),
        ]

    def _literals(self) -> list[Rule]:
        string = _region('"', '"|$', [_match(r"\\.", "constant.character.escape")])
        string["name"] = f"string.quoted.double{_SUFFIX}"
        return [string, _match(self.number, "constant.numeric")]

    def _keywords(self) -> list[Rule]:
        size = _call(self.word["size"], _KEYWORDS["size"], "index")
        plain = [
            _match(pattern, _KEYWORDS.get(text, _DECLARES)) for text, pattern in self.word.items()
        ]
        return [size, *plain]

    def _operators(self) -> list[Rule]:
        # Opening brackets start regions, in which more than a character is coloured.
        return [
            _match(pattern, _operator_scope(name))
            for name, pattern in self.operators.items()
            if name not in ("LPAR", "LSQB")
        ]

    # ---- statements ----

    def _use(self) -> Rule:
        names = [
            *_includes("comments"),
            _match(self.word["as"], _KEYWORDS["as"]),
            _match(_any_word(self.words.library), _LIBRARY),
            _match(self.name, _FUNCTION),
            _match(",", _operator_scope("COMMA")),
        ]
        inside = [
            *_includes("comments"),
            _match(self.word["as"], _KEYWORDS["as"]),
            _braces(r"(\{)", names, []),
            _match(self.name, "entity.name.namespace"),
            _match(r"\.", _operator_scope("DOT")),
        ]
        return _region(self.word["use"], r"(?<!\.)$", inside, [_KEYWORDS["use"]])

    def _declarations(self) -> list[Rule]:
        setting = _captured(rf"({self.name})(?=\s*=(?!=))", _SETTING)
        config = _braces(
            rf"{self.word['config']}\s+({self.name})\s*(\{{)",
            [*_includes("comments"), setting, *_includes("expression")],
            [_DECLARES, _NAMES["config"]],
        )
        word = rf"({self.name})(?=\s*(?:[,=}}#]|$))"
        properties = _braces(
            r"(\{)",
            [
                *_includes("comments"),
                _captured(word, "storage.modifier.property"),
                *_includes("expression"),
            ],
            [],
        )
        op = _region(
            rf"{self.word['op']}\s+({self.name})",
            r"(?<=\})|(?<![,:>(\[{])$",
            [*_includes("comments"), properties, *_includes("expression")],
            [_DECLARES, _NAMES["op"]],
        )
        others = [
            _captured(rf"{self.word[text]}\s+({self.name})", _DECLARES, scope)
            for text, scope in _NAMES.items()
            if text not in ("config", "op")
        ]
        return [config, op, *others]

    def _axis(self) -> Rule:
        structures = _any_word(self.words.structures)
        inside = [
            *_includes("comments"),
            _captured(
                rf"(:)\s*({structures})", _operator_scope("COLON"), "storage.modifier.structure"
            ),
            _region(
                r"(=)(?!=)",
                r"(?=[,#{}])|$",
                _includes("expression"),
                [_operator_scope("EQUAL")],
            ),
            _match(self.name, _AXIS),
            _match(",", _operator_scope("COMMA")),
            _match(":", _operator_scope("COLON")),
        ]
        return _region(self.word["axis"], _END_OF_LIST, inside, [_DECLARES])

    def _learn(self) -> Rule:
        inside = [
            *_includes("comments"),
            _match(self.name, "variable.other.learned"),
            _match(",", _operator_scope("COMMA")),
        ]
        return _region(self.word["learn"], rf"(?=:)|{_END_OF_LIST}", inside, [_DECLARES])

    def _types(self) -> list[Rule]:
        """Types stand after a colon and after an arrow; elsewhere `B[n]` is a wire."""
        return [
            _region(rf"({mark})", _END_OF_TYPE, _includes("type"), [_operator_scope(name)])
            for name, mark in (("COLON", ":"), ("ARROW", "->"))
        ]

    def _type(self) -> list[Rule]:
        types = _any_word(self.words.types)
        return [
            *_includes("comments"),
            _call(rf"({types})", _TYPE, "index"),
            _captured(rf"({types})(?=\s*\[)", _TYPE),
            _parens("type"),
            *_includes("expression"),
        ]

    # ---- expressions ----

    def _expression(self) -> list[Rule]:
        declared = rf"({self.name})(?=(?:\s*,\s*{self.name})*\s*:)"
        called = rf"({self.name})(?=\s*(?:\(|\[[^\[\]]*\]\s*\())"
        return [
            *_includes("comments", "literals", "keywords", "types"),
            *(
                _match(rf"(?<![\w']){pattern}", _operator_scope(name))
                for name, pattern in self.word_operators.items()
            ),
            _brackets(),
            _parens("expression"),
            _captured(declared, "variable.parameter"),
            _match(_any_word(self.words.constants), _CONSTANT),
            _match(_any_word(self.words.library), _LIBRARY),
            _captured(called, _FUNCTION),
            _match(self.name, _WIRE),
            *_includes("operators"),
        ]

    def _index(self) -> list[Rule]:
        """Inside `[...]` a plain name is an axis, but `tok` in `E[tok[n], m]` is a wire."""
        library = _any_word(self.words.library)
        return [
            *_includes("comments", "literals", "keywords"),
            _brackets(),
            _call(rf"({library})", _LIBRARY, "expression"),
            _call(rf"({self.name})", _FUNCTION, "expression"),
            _parens("expression", r"(?<=[\])])(\()"),
            _parens("index"),
            _captured(rf"({self.name})(?=\s*=(?!=))", _SETTING),
            _captured(rf"({library})(?=\s*\[)", _LIBRARY),
            _captured(rf"({self.name})(?=\s*\[)", _WIRE),
            _match(_any_word(self.words.constants), _CONSTANT),
            _match(self.name, _AXIS),
            *_includes("operators"),
        ]


# ---- rules ----------------------------------------------------------------------------------


def _match(pattern: str, scope: str) -> Rule:
    return {"match": pattern, "name": scope + _SUFFIX}


def _captured(pattern: str, *scopes: str) -> Rule:
    return {"match": pattern, "captures": _captures(scopes)}


def _region(
    begin: str,
    end: str,
    inside: Sequence[Rule],
    opening: Sequence[str] = (),
    closing: Sequence[str] = (),
) -> Rule:
    rule: Rule = {"begin": begin, "end": end}
    if opening:
        rule["beginCaptures"] = _captures(opening)
    if closing:
        rule["endCaptures"] = _captures(closing)
    return rule | {"patterns": list(inside)}


def _brackets() -> Rule:
    scope = _operator_scope("LSQB")
    return _region(r"(\[)", r"(\])", _includes("index"), [scope], [scope])


def _parens(inside: str, opening: str = r"(\()") -> Rule:
    scope = _operator_scope("LPAR")
    return _region(opening, r"(\))", _includes(inside), [scope], [scope])


def _call(head: str, scope: str, inside: str) -> Rule:
    paren = _operator_scope("LPAR")
    return _region(rf"{head}\s*(\()", r"(\))", _includes(inside), [scope, paren], [paren])


def _braces(begin: str, inside: Sequence[Rule], opening: Sequence[str]) -> Rule:
    scope = _operator_scope("LBRACE")
    return _region(begin, r"(\})", inside, [*opening, scope], [scope])


def _captures(scopes: Sequence[str]) -> Mapping[str, object]:
    return {str(place): {"name": scope + _SUFFIX} for place, scope in enumerate(scopes, 1)}


def _include(name: str) -> Rule:
    return {"include": f"#{name}"}


def _includes(*names: str) -> list[Rule]:
    return [_include(name) for name in names]


def _operator_scope(name: str) -> str:
    for names, scope in _OPERATORS.items():
        if name in names.split():
            return scope
    return _OTHER_OPERATOR


def _any_word(words: Sequence[str]) -> str:
    """A pattern for whole words; names go on with digits, letters and primes."""
    return rf"(?<![\w'])(?:{'|'.join(sorted(words))})(?![\w'])"


def _portable(pattern: str) -> str:
    """A pattern that Oniguruma and Python read alike: characters instead of their numbers."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), pattern)
