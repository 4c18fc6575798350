"""What to say about brackets that are not closed, closed twice, or closed by the wrong kind."""

from __future__ import annotations

from ncdlang.diagnostics import Diagnostic, Fix, Label
from ncdlang.source import Span
from ncdlang.syntax.layout import Open
from ncdlang.syntax.lexer import Tokens

_CLOSER = {"(": ")", "[": "]", "{": "}"}


def _span(tokens: Tokens, opened: Open) -> Span:
    return Span(tokens.source, opened.start, opened.end)


def _here(tokens: Tokens) -> Span:
    """The place right after the last token."""
    end = tokens.ends[-1] if tokens.ends else 0
    return Span(tokens.source, end, end)


def _report(
    tokens: Tokens,
    code: str,
    message: str,
    span: Span,
    label: str = "",
    labels: tuple[Label, ...] = (),
    rule: str = "",
    fix: Fix | None = None,
    broken: Span | None = None,
) -> None:
    tokens.findings.append(Diagnostic(code, message, span, label, labels, (), rule, fix))
    # What stands beside a wrong bracket is read by guessing.
    tokens.broken.append((broken or span).lines())


def report_unclosed(tokens: Tokens, opened: Open) -> None:
    """A bracket is still open where something comes that can't stand in it."""
    span, here = _span(tokens, opened), _here(tokens)
    closer = _CLOSER.get(span.text, "}")
    labels = (Label(here, f"`{closer}` is missing here"),)
    fix = Fix(f"add `{closer}`", ((here, closer),))
    message = f"this `{span.text or '{'}` is never closed"
    code = "NCD1012" if closer == "}" else "NCD1010"
    _report(tokens, code, message, span, "opened here", labels, "", fix, span.to(here))


def report_wrong_closer(tokens: Tokens, opened: Open, span: Span, round_closer: bool) -> None:
    """`(a]`."""
    opener = _span(tokens, opened)
    closer = ")" if round_closer else "]"
    message = f"`{opener.text}` is closed by `{span.text}`"
    labels = (Label(opener, "opened here"),)
    fix = Fix(f"replace it by `{closer}`", ((span, closer),))
    _report(tokens, "NCD1010", message, span, f"expected `{closer}`", labels, "", fix)


def report_stray_closer(tokens: Tokens, span: Span) -> None:
    """A closer without an opener."""
    fix = Fix("remove it", ((span, ""),))
    _report(tokens, "NCD1011", f"this `{span.text}` closes nothing", span, fix=fix)


def report_extra_brace(tokens: Tokens, opened: Open) -> None:
    """A `{` where a statement should start."""
    span = _span(tokens, opened)
    rule = "a body belongs to a `diagram`, statements are grouped by `block`"
    fix = Fix("remove it", ((span, ""),))
    _report(tokens, "NCD1011", "this `{` opens nothing", span, rule=rule, fix=fix)


def report_open_bodies(tokens: Tokens, unclosed: tuple[Open, int], found: Span | None) -> None:
    """The `}` of a body is missing, as the layout of the text or a declaration shows."""
    labels: tuple[Label, ...] = ()
    if found is not None:
        labels = (Label(found, "the next declaration starts here"),)
    _report_body(tokens, *unclosed, labels)


def _report_body(tokens: Tokens, opened: Open, end: int, labels: tuple[Label, ...]) -> None:
    text = tokens.source.text
    # It belongs on the line after the last statement.
    line_end = text.find("\n", end)
    place = min(line_end + 1, len(text)) if line_end >= 0 else len(text)
    missing = Span(tokens.source, place, place)
    last = Span(tokens.source, end, end)
    fix = Fix("add `}`", ((last, f"\n{' ' * opened.indent}}}"),))
    opener = _span(tokens, opened)
    message = "`}` is missing: a body is never closed"
    labels = (Label(opener, "opened here"), *labels)
    broken = opener.to(last)
    _report(tokens, "NCD1012", message, missing, "`}` is missing here", labels, "", fix, broken)


def report_open_at_end(tokens: Tokens, unclosed: tuple[Open, int], last: Span) -> None:
    """The text ends within brackets."""
    inner, place = unclosed
    span = _span(tokens, inner)
    text = span.text or "{"
    end = Span(tokens.source, last.end, last.end)
    if inner.is_body:
        _report_body(tokens, inner, place, ())
        return
    closer = _CLOSER[text]
    fix = Fix(f"add `{closer}`", ((end, "\n}" if closer == "}" else closer),))
    labels = (Label(end, "the file ends here"),)
    code = "NCD1012" if text == "{" else "NCD1010"
    message = f"this `{text}` is never closed"
    _report(tokens, code, message, span, "opened here", labels, "", fix, span.to(end))


def report_brace_on_next_line(tokens: Tokens, brace: Span) -> None:
    """`{` on a line of its own."""
    here = _here(tokens)
    fix = Fix(
        "put it on the line of the header", ((Span(here.source, here.end, brace.start), " "),)
    )
    tokens.findings.append(
        Diagnostic(
            "NCD1013",
            "`{` stands on a line of its own",
            brace,
            help="a statement ends at the end of its line, so `{` follows its header",
            fix=fix,
        )
    )


def report_missing_brace(tokens: Tokens) -> None:
    """A body without its `{`."""
    here = _here(tokens)
    fix = Fix("add `{`", ((here, " {"),))
    message = "this body has no `{`"
    tokens.findings.append(Diagnostic("NCD1013", message, here, "`{` is missing here", fix=fix))


def report_too_deep(tokens: Tokens, first: Span, end: int, limit: int) -> None:
    """A bracket beyond the limit of nesting."""
    region = Span(first.source, first.start, end)
    message = f"brackets nest more than {limit} deep"
    rule = "name a part of it in an equation of its own"
    _report(tokens, "NCD1014", message, first, rule=rule, broken=region)
