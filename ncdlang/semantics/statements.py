"""Statements of a body: declarations of axes, learned parameters, blocks, asserts, returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from ncdlang.diagnostics import Label
from ncdlang.semantics import equations, recurrence, remedies, results, scatter, tokens
from ncdlang.semantics.assertions import assert_in_body
from ncdlang.semantics.binding import Opened, open_diagram
from ncdlang.semantics.circles import units
from ncdlang.semantics.numbers import check_size
from ncdlang.semantics.pipelines import Pipeline
from ncdlang.semantics.program import Learned
from ncdlang.semantics.report import Reported, counted, listed, rename
from ncdlang.semantics.scope import Broken, DiagramRef, LearnedPipeline, closest
from ncdlang.semantics.signature import already_defined, array_type_of
from ncdlang.semantics.size import ZERO, Size, TooComplexError
from ncdlang.semantics.sizes import size_expression
from ncdlang.semantics.types import FORMATS, ArrayType, Wire
from ncdlang.source import Span
from ncdlang.syntax import tree

if TYPE_CHECKING:
    from ncdlang.semantics.body import Body

STRUCTURES = ("set", "ordered", "cyclic")
# name -> how many numbers it takes
INITIALISERS = {
    "zeros": 0,
    "ones": 0,
    "normal": 2,
    "uniform": 2,
    "kaiming": 0,
    "xavier": 0,
}


def check_body(body: Body) -> None:
    """Check every statement; the result is checked by the return."""
    declaration = body.declaration
    if declaration.body is None:
        if declaration.pipeline is None:
            _check_operator(body)
            return
        try:
            results.check_pipeline(body, declaration.pipeline)
        except Reported:
            body.failed = True
        return
    body.later.update(_defined_names(declaration.body))
    returned = False
    i = 0
    for i, statement in enumerate(declaration.body):
        if isinstance(statement, tree.Return):
            returned = True
            if i + 1 < len(declaration.body):
                body.error(
                    "NCD2015",
                    "`return` is the last statement of a diagram",
                    statement.span,
                    label="more statements follow",
                    labels=[Label(declaration.body[i + 1].span, "this is never reached")],
                )
            break
    reached = i + 1 if returned else len(declaration.body)
    check_statements(body, declaration.body[:reached])
    if not returned and not _returns_inside(declaration.body):
        _missing_return(body)


def _returns_inside(statements: tuple[tree.Statement, ...]) -> bool:
    """Whether a block holds the return, which is reported there."""
    return any(
        isinstance(statement, tree.Block)
        and (
            any(isinstance(inner, tree.Return) for inner in statement.body)
            or _returns_inside(statement.body)
        )
        for statement in statements
    )


_INITIALISER_USES = {
    "normal": "normal(mean, deviation)",
    "uniform": "uniform(low, high)",
}


def _missing_return(body: Body) -> None:
    declaration = body.declaration
    if body.module.has_broken(declaration.span):
        raise Reported
    statements = declaration.body or ()
    end = declaration.span.end
    at = Span(declaration.span.source, max(end - 1, declaration.span.start), end)
    last = statements[-1] if statements else None
    name, fix = None, None
    if isinstance(last, tree.Equation):
        name = last.targets[0].name.text
        if last.op == "=":
            at, fix = last.targets[0].span, remedies.returned(last, declaration)
    body.error(
        "NCD2014",
        f"`{declaration.name.text}` returns nothing",
        at,
        label="the body ends without `return`",
        labels=[Label(declaration.result.span, "promised here")],
        help=f"end it with `return {name}`" if name else "end it with `return ...`",
        fix=fix,
    )


def _defined_names(statements: tuple[tree.Statement, ...]) -> dict[str, Span]:
    names: dict[str, Span] = {}
    for statement in statements:
        match statement:
            case tree.Equation():
                for target in statement.targets:
                    names.setdefault(target.name.text, target.span)
            case tree.Return():
                for target in statement.targets:
                    names.setdefault(target.name.text, target.span)
            case tree.Declaration():
                names.setdefault(statement.name.text, statement.span)
            case tree.Block():
                for name, span in _defined_names(statement.body).items():
                    names.setdefault(name, span)
            case _:
                pass
    names.pop("_", None)
    return names


def _check_operator(body: Body) -> None:
    """The results of an `op`, and what it requires of the sizes."""
    results.declared_results(body)
    for condition in body.module.required.get(body.declaration.name.text, ()):
        assert_in_body(body, condition)


def check_statements(body: Body, statements: tuple[tree.Statement, ...]) -> None:
    """Check the statements of one level in order, recurrences as wholes."""
    returned: list[tree.Return] = []
    for unit in units(statements, lambda name: body.scope.find(name) is not None):
        if not unit.is_recurrence:
            check_statement(body, unit.statements[0])
            continue
        _check_recurrence(body, unit.statements)
        for statement in unit.statements:
            if isinstance(statement, tree.Return):
                names = tuple(target.name for target in statement.targets)
                returned.append(tree.Return((), names, statement.span))
    for statement in returned:
        check_statement(body, statement)


def _check_recurrence(body: Body, statements: Sequence[tree.Statement]) -> None:
    equations_of: list[tree.Equation] = []
    for statement in statements:
        if isinstance(statement, tree.Equation):
            equations_of.append(statement)
        elif isinstance(statement, tree.Return):
            value = statement.values[0]
            equations_of.append(tree.Equation(statement.targets, "=", value, statement.span))
    try:
        recurrence.check_recurrence(body, equations_of)
    except Reported:
        body.failed = True
        for statement in statements:
            break_names(body, statement)
    except RecursionError:
        _too_deep(body, statements[0])


def check_statement(body: Body, statement: tree.Statement) -> None:
    """Check one statement; after a mistake the names that it would define are broken."""
    try:
        _dispatch(body, statement)
    except Reported:
        body.failed = True
        break_names(body, statement)
    except TooComplexError:
        body.failed = True
        body.too_complex(statement.span)
        break_names(body, statement)
    except RecursionError:
        _too_deep(body, statement)


def _too_deep(body: Body, statement: tree.Statement) -> None:
    body.failed = True
    body.error(
        "NCD1014",
        "this statement is nested too deeply",
        statement.span,
        label="too deep",
        help="name parts of it by equations of their own",
    )
    break_names(body, statement)


def break_names(body: Body, statement: tree.Statement) -> None:
    """Silence every later use of what a mistaken statement would have defined."""
    match statement:
        case tree.Equation() | tree.Return():
            names = [target.name for target in statement.targets]
            for target in statement.targets:
                names += _bracket_names(target)
        case tree.Learn():
            names = list(statement.names)
        case tree.Declaration():
            names = [statement.name]
        case tree.AxisStatement():
            names = [item.name for item in statement.items]
        case _:
            names = []
    for name in names:
        if body.scope.find(name.text) is None:
            body.scope.define(name.text, Broken("name"), name.span)


def _bracket_names(target: tree.Target) -> list[tree.Name]:
    if target.brackets is None:
        return []
    items = [item for slot in target.brackets.slots for item in slot.items]
    return [item for item in items if isinstance(item, tree.Name)]


def _dispatch(body: Body, statement: tree.Statement) -> None:
    match statement:
        case tree.Equation():
            equations.check_equation(body, statement)
        case tree.Return():
            results.check_return(body, statement)
        case tree.Learn():
            _learn(body, statement)
        case tree.AxisStatement():
            for item in statement.items:
                _axis(body, item)
        case tree.Block():
            _block(body, statement)
        case tree.Assert():
            assert_in_body(body, statement.condition)
        case tree.Declaration():
            scatter.check_declaration(body, statement)


def _axis(body: Body, item: tree.AxisItem) -> None:
    earlier = body.scope.local(item.name.text)
    if earlier is not None:
        already_defined(body, item.name.text, item.name.span, earlier[1])
    check_structure(body, item)
    if item.size is None:
        body.fail(
            "NCD3003",
            f"axis `{item.name.text}` needs a size here",
            item.span,
            label="no size",
            help=f"write `axis {item.name.text} = ...`, or make it a free axis of the diagram",
        )
    size = size_expression(body, item.size)
    body.new_axis(item.name.text, size, item.name.span, tokens.repeated(body.scope, item.size))
    require_size(body, size, f"axis `{item.name.text}`", item.size.span)


def check_structure(body: Body, item: tree.AxisItem) -> None:
    """The structure of an axis is one of three words. Raises Reported."""
    if item.structure is None or item.structure.text in STRUCTURES:
        return
    guess = closest(item.structure.text, STRUCTURES)
    body.fail(
        "NCD2001",
        f"there is no axis structure `{item.structure.text}`",
        item.structure.span,
        label="unknown",
        help=f"did you mean `{guess}`?" if guess else f"it is one of {listed(STRUCTURES, 'or')}",
    )


def require_size(body: Body, size: Size, what: str, span: Span, notes: Sequence[str] = ()) -> None:
    """A size is at least 0. Raises Reported where it can't be."""
    if not body.constraints.require(size, ">=", ZERO, f"the size of {what} is at least 0", span):
        body.fail(
            "NCD3005",
            f"{what} would have size {body.shown(size)}",
            span,
            label="a size is at least 0",
            notes=notes,
        )
    check_size(body, what, size.value, span)


def _block(body: Body, block: tree.Block) -> None:
    body.open_block(block.title.value, block.span)
    try:
        for statement in block.body:
            if isinstance(statement, tree.Return):
                body.error(
                    "NCD2015",
                    "`return` can't stand in a block",
                    statement.span,
                    label="inside a block",
                    labels=[Label(block.title.span, "this block")],
                    help="name the wire in the block and return it after the block",
                )
        check_statements(body, block.body)
    finally:
        body.close_block()


# ---- learned ----------------------------------------------------------------------------------


def _learn(body: Body, statement: tree.Learn) -> None:
    for i, name in enumerate(statement.names):
        earlier = body.scope.local(name.text)
        same = [known.span for known in statement.names[:i] if known.text == name.text]
        if earlier is not None or same:
            already_defined(body, name.text, name.span, earlier[1] if earlier else same[0])
    parameter_type = _parameter_type(body, statement.spec)
    if parameter_type is not None:
        _learn_parameter(body, statement, parameter_type)
        return
    if statement.init is not None:
        body.fail(
            "NCD4002",
            "an initialiser belongs to a raw parameter",
            statement.init.span,
            label="this learns a diagram",
        )
    spec = statement.spec
    if not isinstance(spec, (tree.ArrayTypeExpr, tree.TupleTypeExpr)) and _is_composed(spec):
        Pipeline(body).arity(spec)
        for name in statement.names:
            learned = LearnedPipeline(name.text, spec, name.span)
            body.scope.define(name.text, learned, name.span)
        return
    opened = _learned_diagram(body, statement)
    for name in statement.names:
        use = body.add_instance(name.text, opened, name.span)
        body.scope.define(name.text, use, name.span)


def _parameter_type(body: Body, spec: tree.TypeExpr | tree.Expr) -> ArrayType | None:
    """The type of a raw parameter, None if `spec` is a diagram."""
    match spec:
        case tree.ArrayTypeExpr():
            return array_type_of(body, spec)
        case tree.Bracketed(head=tree.Name() as head) if head.text in FORMATS:
            return array_type_of(body, tree.ArrayTypeExpr(head, None, spec.brackets, spec.span))
        case tree.Bracketed(head=tree.Name(text="B" | "C" | "N") as head) if not body.scope.find(
            head.text
        ):
            _not_real(body, spec.span)
        case tree.Bracketed(head=tree.Call(function=tree.Name(text="N"))):
            _not_real(body, spec.span)
        case tree.TupleTypeExpr():
            body.fail("NCD2012", "a parameter is one array", spec.span, label="a tuple")
        case _:
            return None


def _not_real(body: Body, span: Span) -> NoReturn:
    body.fail(
        "NCD2011",
        "a learned parameter is real",
        span,
        label="not real",
        help="write `[...]`, or with a format: `bf16[...]`",
    )


def _learn_parameter(body: Body, statement: tree.Learn, array_type: ArrayType) -> None:
    init, arguments, frozen = _initialiser(body, statement.init)
    for name in statement.names:
        wire = Wire(name.text, array_type, name.span)
        body.learned.append(Learned(wire, init, arguments, frozen))
        body.scope.define(name.text, wire, name.span)


def _initialiser(body: Body, expr: tree.Expr | None) -> tuple[str, tuple[float, ...], bool]:
    if expr is None:
        return "default", (), False
    if isinstance(expr, tree.Call) and isinstance(expr.function, tree.Name):
        if expr.function.text == "frozen":
            if len(expr.arguments) != 1:
                body.fail("NCD4001", "`frozen` takes one initialiser", expr.span, label="not one")
            init, arguments, _ = _initialiser(body, expr.arguments[0])
            return init, arguments, True
        name, given = expr.function, expr.arguments
    elif isinstance(expr, tree.Name):
        name, given = expr, ()
    else:
        body.fail(
            "NCD2001",
            "this is no initialiser",
            expr.span,
            label="not an initialiser",
            help=f"it is one of {listed(INITIALISERS, 'or')}",
        )
    if name.text not in INITIALISERS:
        guess = closest(name.text, INITIALISERS)
        body.fail(
            "NCD2001",
            f"there is no initialiser `{name.text}`",
            name.span,
            label="unknown",
            help=f"did you mean `{guess}`?"
            if guess
            else f"it is one of {listed(INITIALISERS, 'or')}",
            fix=rename(name.span, guess) if guess else None,
        )
    wanted = INITIALISERS[name.text]
    if len(given) != wanted:
        body.fail(
            "NCD4001",
            f"`{name.text}` takes {counted(wanted, 'number') if wanted else 'no numbers'}, "
            f"but {len(given)} {'is' if len(given) == 1 else 'are'} given",
            expr.span,
            label=counted(len(given), "number"),
            help=f"write `{_INITIALISER_USES[name.text]}`" if wanted else "",
        )
    return name.text, tuple(float(body.number(argument)) for argument in given), False


def _is_composed(spec: tree.Expr) -> bool:
    while isinstance(spec, tree.Group):
        spec = spec.inner
    return isinstance(spec, (tree.Binary, tree.BlockExpr))


def _learned_diagram(body: Body, statement: tree.Learn) -> Opened:
    spec = statement.spec
    head = spec.head if isinstance(spec, tree.Bracketed) else spec
    if not isinstance(head, tree.Name):
        body.fail("NCD2012", "only a diagram or an array is learned", spec.span, label="neither")
    meaning = body.look_up(head, "diagram")
    if not isinstance(meaning, DiagramRef):
        body.fail(
            "NCD2012",
            f"`{head.text}` is {body.describe(meaning)}, not a diagram",
            head.span,
            label="can't be learned",
        )
    brackets = spec.brackets if isinstance(spec, tree.Bracketed) else None
    opened = open_diagram(body, meaning, brackets, head)
    if not opened.callee.is_learned:
        body.fail(
            "NCD4002",
            f"`{head.text}` has no parameters to learn",
            head.span,
            label="nothing to learn",
            help=f"call it directly: `{head.text}(...)`",
        )
    return opened
