"""Turns the TextMate grammar into a syntax definition of Sublime Text, rule by rule."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

Node: TypeAlias = "str | int | bool | Sequence[Node] | Mapping[str, Node]"
_HEAD = "%YAML 1.2\n---\n# Generated from grammar/ncd.lark: `make grammars`.\n"


def sublime(textmate: str) -> str:
    """The definition as YAML text; `textmate` is the text of the grammar."""
    given = json.loads(textmate)
    definition: dict[str, Node] = {
        "name": given["name"],
        "file_extensions": given["fileTypes"],
        "scope": given["scopeName"],
        "version": 2,
        "contexts": contexts(given),
    }
    return _HEAD + "".join(f"{line}\n" for line in _yaml(definition, 0))


def contexts(given: Mapping[str, Any]) -> dict[str, Node]:
    """The sets of rules by name; `main` is where a file begins."""
    found: dict[str, Node] = {"main": _rules(given["patterns"])}
    for name, each in given["repository"].items():
        found[name] = _rules(each["patterns"])
    return found


def _rules(given: Sequence[Mapping[str, Any]]) -> list[Node]:
    return [_rule(rule) for rule in given]


def _rule(given: Mapping[str, Any]) -> Node:
    if "include" in given:
        return {"include": given["include"].removeprefix("#")}
    if "match" in given:
        rule: dict[str, Node] = {"match": given["match"]}
        return rule | _scopes(given, "name", "captures")
    # The end comes first: there it ends a region even where a rule inside would match.
    end: dict[str, Node] = {"match": given["end"], "pop": 1}
    inside: list[Node] = [end | _scopes(given, "", "endCaptures"), *_rules(given["patterns"])]
    if "name" in given:
        inside.insert(0, {"meta_scope": given["name"]})
    begin: dict[str, Node] = {"match": given["begin"], "push": inside}
    return begin | _scopes(given, "", "beginCaptures")


def _scopes(given: Mapping[str, Any], name: str, captures: str) -> dict[str, Node]:
    found: dict[str, Node] = {"scope": given[name]} if name in given else {}
    if captures in given:
        found["captures"] = {group: each["name"] for group, each in given[captures].items()}
    return found


def _yaml(node: Node, depth: int) -> Iterator[str]:
    """The lines of a node in block style. Every JSON string is a string of YAML."""
    indent = "  " * depth
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _entry(f"{indent}{key}:", value, depth)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            first, *rest = list(_yaml(value, depth + 1))
            yield f"{indent}- {first.lstrip(' ')}"
            yield from rest
    else:
        yield f"{indent}{json.dumps(node, ensure_ascii=False)}"


def _entry(head: str, value: Node, depth: int) -> Iterator[str]:
    if isinstance(value, str | int):
        yield f"{head} {json.dumps(value, ensure_ascii=False)}"
    else:
        yield head
        yield from _yaml(value, depth + 1)
