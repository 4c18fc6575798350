"""What to say about a token that can't come where it stands.

The common mistakes are recognised in three ways, in this order: by a question about the text
around them (here), by a sample of `syntax_errors.toml` that fails in the same state or with the
same choice of tokens, and last by what was expected and what was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ncdlang.diagnostics import Diagnostic, Fix, Label
from ncdlang.source import Span
from ncdlang.syntax import wording
from ncdlang.syntax.mistake import Mistake
from ncdlang.syntax.tables import Sample

_COMPARISONS = "EQUALS DIFFERS AT_MOST AT_LEAST LESS GREATER"
_ENDS = "_NEWLINE RBRACE $END"
_OPERANDS = "NAME NUMBER STRING LPAR LSQB _SIZE _BLOCK NOT"


def explain(mistake: Mistake) -> Diagnostic:
    """The diagnostic of a wrong token."""
    for question in _BEFORE_SAMPLES:
        found = question(mistake)
        if found is not None:
            return found
    sample = mistake.sample()
    if sample is not None:
        return _by_sample(mistake, sample)
    for question in _AFTER_SAMPLES:
        found = question(mistake)
        if found is not None:
            return found
    return _unexpected(mistake)


# ---- before the samples ------------------------------------------------------------------------


def _misplaced(mistake: Mistake) -> Diagnostic | None:
    """A statement outside a diagram, or a declaration inside one."""
    if mistake.index != mistake.begin or not mistake.starts_line():
        return None
    inside = mistake.is_kind("_DIAGRAM _USE _CONFIG _OP _CONST")
    if inside and not mistake.in_file:
        what = f"`{mistake.text}` can't stand inside a diagram"
        rule = "declarations stand at the level of the file"
    elif mistake.in_file and mistake.is_kind("NAME _LEARN _RETURN _BLOCK"):
        what = "a statement stands in a diagram"
        rule = "at the level of the file there are only `use`, `axis`, `const`, `config`, `op`,"
        rule += " `diagram` and `assert`"
    else:
        return None
    return Diagnostic("NCD1026", what, mistake.span, "not allowed here", help=rule)


def _keyword_as_name(mistake: Mistake) -> Diagnostic | None:
    if not mistake.is_keyword_as_name():
        return None
    text = mistake.text
    fix = Fix(f"call it `{text}_`", ((mistake.span, f"{text}_"),))
    message = f"`{text}` is a keyword and can't be a name"
    return Diagnostic("NCD1016", message, mistake.span, "expected a name", fix=fix)


def _two_statements(mistake: Mistake) -> Diagnostic | None:
    if not mistake.starts_statement():
        return None
    fix = Fix("start a new line", ((mistake.gap, "\n" + mistake.indentation()),))
    rule = "a statement ends at the end of its line"
    message = "two statements on one line"
    return Diagnostic(
        "NCD1015", message, mistake.span, "the second starts here", help=rule, fix=fix
    )


def _chain(mistake: Mistake) -> Diagnostic | None:
    """`a < b < c`."""
    if not mistake.is_kind(_COMPARISONS) or not mistake.accepts("AND"):
        return None
    first = mistake.last_of(_COMPARISONS)
    if first is None or mistake.accepts(mistake.terminal):
        return None
    middle = Span(mistake.span.source, mistake.tokens.ends[first], mistake.gap.start).text.strip()
    fix = Fix("compare twice", ((mistake.gap, f" and {middle} "),))
    labels = (Label(mistake.tokens.span(first), "first comparison"),)
    rule = "write `a < b and b < c`"
    return Diagnostic(
        "NCD1023", "comparisons can't be chained", mistake.span, "", labels, (), rule, fix
    )


def _double_equal(mistake: Mistake) -> Diagnostic | None:
    """`Y[i] == X[i]` as a statement, or `h == 3` as a setting."""
    if not mistake.accepts("EQUAL"):
        return None
    span = mistake.span if mistake.is_kind("EQUALS") else None
    if mistake.is_kind(_ENDS) and mistake.heads_with_operand():
        place = mistake.last_of("EQUALS")
        span = mistake.tokens.span(place) if place is not None else None
    if span is None:
        return None
    fix = Fix("replace it by `=`", ((span, "="),), safe=True)
    rule = "`==` compares, `=` defines"
    return Diagnostic(
        "NCD1022", "`==` can't define anything", span, "write `=`", help=rule, fix=fix
    )


def _left_arrow(mistake: Mistake) -> Diagnostic | None:
    """`Y[i] <- X[i]`."""
    if not (mistake.is_kind(_ENDS) and mistake.accepts("EQUAL") and mistake.heads_with_operand()):
        return None
    place = mistake.last_of("LESS")
    if place is None or not mistake.tokens.text(place + 1).startswith("-"):
        return None
    span = mistake.tokens.span(place).to(mistake.tokens.span(place + 1))
    if span.text != "<-":
        return None
    fix = Fix("replace it by `=`", ((span, "="),))
    return Diagnostic("NCD1022", "`<-` can't define anything", span, "write `=`", fix=fix)


def _bare_expression(mistake: Mistake) -> Diagnostic | None:
    """An expression whose value nobody gets."""
    if not (mistake.is_kind(_ENDS) and mistake.accepts("EQUAL") and mistake.heads_with_operand()):
        return None
    if not mistake.accepts("ADD_ASSIGN"):
        return None
    start = mistake.tokens.starts[mistake.begin]
    span = Span(mistake.span.source, start, mistake.gap.start)
    fix: Fix | None = None
    rule = "a statement defines a wire: `Y = ...`"
    if mistake.is_kind("RBRACE"):
        rule = "the result of a diagram is given by `return`"
        fix = Fix("add `return`", ((Span(span.source, start, start), "return "),))
    return Diagnostic("NCD1021", "an expression alone is no statement", span, help=rule, fix=fix)


def _setting_in_call(mistake: Mistake) -> Diagnostic | None:
    """`f(x, axis = 1)`."""
    if not mistake.accepts("RPAR") and not mistake.accepts("_SIZE"):
        return None
    name = ""
    if mistake.is_kind("EQUAL") and mistake.accepts("PLUS") and mistake.accepts("RPAR"):
        name = mistake.tokens.text(mistake.index - 1)
    elif mistake.is_keyword() and mistake.next_is("EQUAL"):
        if mistake.follows("LPAR") or mistake.follows("COMMA"):
            name = mistake.text
    if not name:
        return None
    rule = f"settings stand in square brackets: `f[{name} = ...](X)`; equality is `==`"
    message = "arguments in parentheses have no names"
    fix = _moved_setting(mistake)
    return Diagnostic("NCD1025", message, mistake.span, "not an argument", help=rule, fix=fix)


_LAST_SETTING = re.compile(r"([^\W\d][\w.']*)\(([^()\n]*?),\s*([^\W\d]\w*)\s*=\s*([\w.'-]+)\s*\)")


def _moved_setting(mistake: Mistake) -> Fix | None:
    """`softmax(X, dim = x)` as `softmax[x](X)`."""
    line = mistake.span.lines()
    for call in _LAST_SETTING.finditer(line.text):
        start, end = line.start + call.start(), line.start + call.end()
        if not start < mistake.span.start < end:
            continue
        function, arguments, name, value = call.groups()
        if name in ("dim", "axis"):
            if not value.isidentifier():
                return None
            setting = value
        else:
            setting = f"{name} = {value}"
        text = f"{function}[{setting}]({arguments})"
        return Fix(f"write `{text}`", ((Span(line.source, start, end), text),))
    return None


def _keyword_as_wire(mistake: Mistake) -> Diagnostic | None:
    """`axis = X`."""
    is_left_side = mistake.index == mistake.begin + 1 and mistake.kind in (
        mistake.language.kinds.assigns
    )
    text = mistake.tokens.text(mistake.begin)
    if not is_left_side or mistake.in_file or text not in mistake.language.lexicon.words:
        return None
    span = mistake.tokens.span(mistake.begin)
    fix = Fix(f"call it `{text}_`", ((span, f"{text}_"),))
    message = f"`{text}` is a keyword and can't be a name"
    return Diagnostic("NCD1016", message, span, "expected a name", fix=fix)


def _composite_in_list(mistake: Mistake) -> Diagnostic | None:
    """`[x (h k)]`, which reads as a call of x."""
    if not (mistake.follows("NAME", "LPAR", "NAME") and mistake.is_kind("NAME")):
        return None
    ends, starts = mistake.tokens.ends, mistake.tokens.starts
    gap = Span(mistake.span.source, ends[mistake.index - 3], starts[mistake.index - 2])
    if gap.start == gap.end or mistake.innermost_but_one() != "LSQB":
        return None
    fix = Fix("add `,`", ((gap, ", "),))
    message = "a composite axis is separated by a comma"
    rule = "a list that holds a composite axis is written with commas: `[x, (h k)]`"
    return Diagnostic("NCD1024", message, mistake.span, "", help=rule, fix=fix)


def _no_value(mistake: Mistake) -> Diagnostic | None:
    """`return` alone."""
    if not mistake.is_kind(_ENDS) or not mistake.follows("_RETURN"):
        return None
    span = mistake.tokens.span(mistake.index - 1)
    rule = "name the result: `return Y`"
    return Diagnostic("NCD1017", "`return` gives no value", span, "nothing follows", help=rule)


def _blank_in_assignment(mistake: Mistake) -> Diagnostic | None:
    """`Y max = X`."""
    if mistake.text not in ("max", "min") or not mistake.next_is("EQUAL"):
        return None
    if not mistake.accepts("MAX_ASSIGN"):
        return None
    equal = mistake.tokens.span(mistake.index + 1)
    fix = Fix("remove the blank", ((Span(equal.source, mistake.span.end, equal.start), ""),))
    message = f"`{mistake.text}=` is written without a blank"
    return Diagnostic("NCD1024", message, mistake.span.to(equal), "", fix=fix)


def _indexed_declaration(mistake: Mistake) -> Diagnostic | None:
    """`Y[i]: [v]`."""
    if not (mistake.is_kind("COLON") and mistake.accepts("ADD_ASSIGN")):
        return None
    rule = "a wire is declared by its name alone: `Y: [v d]`"
    return Diagnostic("NCD1035", "this can't be declared", mistake.span, "unexpected", help=rule)


# ---- after the samples -------------------------------------------------------------------------


def _missing_expression(mistake: Mistake) -> Diagnostic | None:
    is_expected = mistake.accepts("NUMBER") and mistake.accepts("NAME")
    if not is_expected or mistake.index == mistake.begin:
        return None
    before = wording.found(mistake.language.lexicon, mistake.tokens, mistake.index - 1)
    message = f"expected an expression after {before}, found {mistake.found}"
    if mistake.is_kind(_ENDS):
        span = mistake.tokens.span(mistake.index - 1)
        return Diagnostic("NCD1017", message, span, "nothing follows")
    return Diagnostic("NCD1017", message, mistake.span, "expected an expression")


def _juxtaposed(mistake: Mistake) -> Diagnostic | None:
    """Two operands with nothing between them."""
    if not (mistake.is_kind(_OPERANDS) and mistake.accepts("PLUS")) or mistake.starts_line():
        return None
    place = Span(mistake.span.source, mistake.gap.start, mistake.gap.start)
    message = f"no operator stands before {mistake.found}"
    rule, text = "a product is written with `*`", " *"
    if mistake.accepts("COMMA") and not mistake.accepts("ADD_ASSIGN"):
        message, text = f"neither an operator nor a comma stands before {mistake.found}", ","
        rule = "arguments are separated by commas, factors by `*`"
        if mistake.accepts("RSQB"):
            rule = "slots are separated by commas; only plain names stand side by side"
    fix = Fix(f"add `{text.strip()}`", ((place, text),))
    return Diagnostic("NCD1024", message, mistake.span, "", help=rule, fix=fix)


def _unexpected(mistake: Mistake) -> Diagnostic:
    lexicon = mistake.language.lexicon
    message = f"expected {wording.expected(lexicon, mistake.accepted)}, found {mistake.found}"
    return Diagnostic("NCD1001", message, mistake.span, "unexpected")


def _by_sample(mistake: Mistake, sample: Sample) -> Diagnostic:
    previous = wording.found(mistake.language.lexicon, mistake.tokens, mistake.index - 1)
    message, label, rule = (
        text.replace("{found}", mistake.found).replace("{previous}", previous)
        for text in (sample.message, sample.label, sample.help)
    )
    fix: Fix | None = None
    if sample.insert:
        place = Span(mistake.span.source, mistake.gap.start, mistake.gap.start)
        fix = Fix(f"add `{sample.insert.strip()}`", ((place, sample.insert),))
    elif sample.replace:
        fix = Fix(f"replace it by `{sample.replace}`", ((mistake.span, sample.replace),))
    return Diagnostic(sample.code, message, mistake.span, label, help=rule, fix=fix)


_Question = Callable[[Mistake], Diagnostic | None]

_BEFORE_SAMPLES: tuple[_Question, ...] = (
    _misplaced,
    _setting_in_call,
    _keyword_as_name,
    _keyword_as_wire,
    _blank_in_assignment,
    _two_statements,
    _chain,
    _double_equal,
    _left_arrow,
    _bare_expression,
    _indexed_declaration,
    _no_value,
    _composite_in_list,
)

_AFTER_SAMPLES: tuple[_Question, ...] = (_missing_expression, _juxtaposed)
