"""Finds out where the samples of `syntax_errors.toml` fail, when the tables are computed."""

from __future__ import annotations

import tomllib

from ncdlang.records import fields, replace
from ncdlang.source import Source
from ncdlang.syntax.language import make_language
from ncdlang.syntax.parser import run_parser
from ncdlang.syntax.tables import Sample, Tables


def locate_samples(tables: Tables, errors: str) -> Tables:
    """Tables that know the samples. Raises ValueError for a sample that is no mistake."""
    language = make_language(tables)
    samples: list[Sample] = []
    likeness: dict[str, int] = {}
    for entry in tomllib.loads(errors)["mistake"]:
        samples.append(Sample(*(entry.get(name, "") for name in fields(Sample))))
        for text in entry["samples"]:
            _, recovery = run_parser(Source("sample", text), language)
            if recovery is None or not recovery.mistakes:
                raise ValueError(f"this sample of {entry['code']} is correct: {text}")
            for key in recovery.mistakes[0].keys(any_token=entry.get("any_token", True)):
                likeness.setdefault(key, len(samples) - 1)
    return replace(tables, samples=tuple(samples), likeness=likeness)
