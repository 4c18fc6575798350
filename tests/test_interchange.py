"""Diagrams as JSON and back, and those of other tools read as text that checks."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from random_graphs import random_diagram

import ncdlang
from ncdlang.cli.main import main
from ncdlang.interchange.json_reading import program_of
from ncdlang.interchange.json_values import FormatError
from ncdlang.interchange.json_writing import json_text
from ncdlang.interchange.pyncd import imported
from ncdlang.ir.lower import lower
from ncdlang.ir.text import render
from ncdlang.semantics.program import CheckedDiagram
from ncdlang.semantics.text import render_checked

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.ncd"))
ITEMS = [(file, name) for file in EXAMPLES for name in ncdlang.load(file).diagrams]
TEXT = (Path(__file__).parent / "data" / "pyncd-transformer.json").read_text()
SIZES = {"m": 6, "v": 5, "h": 2, "k": 3, "k'": 4, "d_ff": 7, "v'": 5}


def found(pattern: str) -> int:
    return len(re.findall(pattern, imported(TEXT), re.MULTILINE))


def test_the_transformer_has_its_operations() -> None:
    assert ncdlang.loads(imported(TEXT)).diagnostics == ()
    assert found(r": embedding\[") == 1
    assert found(r": linear\[") == 7
    assert found(r"^ *S\d*\[[^=]*= \w+\[[^*]*\] \* ") == 2
    assert found(r"softmax\[") == 2
    assert found(r"where\(x' <= x") == 1
    assert found(r"^ *A\d*\[x m\] = ") == 2
    assert found(r"rms_norm\[m\]\(") == 2
    assert found(r"sigmoid\(") == 1


def test_the_transformer_has_its_blocks() -> None:
    assert found(r"^ *block ") == 7
    assert found(r"transformer_layer\[.*\]\^6$") == 1


def test_the_transformer_computes_what_its_term_says() -> None:
    module = ncdlang.loads(imported(TEXT)).module(
        "model", sizes=SIZES, dtype="f64", backend="reference"
    )
    tokens = torch.tensor([1, 4, 0, 2])
    state = module.state_dict()
    generator = torch.Generator().manual_seed(0)
    for name, value in state.items():
        state[name] = torch.randn(value.shape, generator=generator, dtype=torch.float64) / 2
    module.load_state_dict(state)
    X = state["E.weight"][tokens]
    for n in range(6):
        X = _layer(X, {name.split(".", 2)[2]: w for name, w in state.items() if f".{n}." in name})
    expected = torch.softmax(X @ state["L.weight"].T, -1)
    with torch.no_grad():
        torch.testing.assert_close(module(tokens), expected)


def _layer(X: torch.Tensor, w: dict[str, torch.Tensor]) -> torch.Tensor:
    Q, K, V = (torch.einsum("hkm,xm->xhk", w[f"L{n}.weight"], X) for n in "qkv")
    P = torch.softmax(torch.einsum("qhk,xhk->hqx", Q, K), -1).tril()
    P = P / P.sum(-1, keepdim=True)
    A = torch.einsum("mhk,xhk->xm", w["Lo.weight"], torch.einsum("hqx,xhk->qhk", P, V))
    N = F.rms_norm(A + X, (6,), w["rms_norm.weight"], 1e-6)
    H = torch.sigmoid(N @ w["Lin.weight"].T) @ w["Lout.weight"].T
    return F.rms_norm(H + N, (6,), w["rms_norm_2.weight"], 1e-6)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every member and entry of a JSON value, by its holder."""
    if isinstance(value, dict):
        inner = [(value, name) for name in value]
        return inner + [p for part in value.values() for p in places(part)]
    if isinstance(value, list):
        inner = [(value, number) for number in range(len(value))]
        return inner + [p for part in value for p in places(part)]
    return []


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_term_is_read_or_refused(seed: int) -> None:
    random = Random(seed)
    value = json.loads(TEXT)
    for _ in range(random.randint(1, 3)):
        holder, key = random.choice(places(value["data"]) if seed % 2 else places(value))
        if random.random() < 0.5:
            del holder[key]
        else:
            holder[key] = random.choice([None, 7, -1, "x", [], {}, {"__ref__": 1}])
    try:
        text = imported(json.dumps(value))
    except FormatError:
        return
    assert "diagram model" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON"),
        ("[]", "an object is wanted"),
        ("{}", "`uid_repository` is missing"),
        ('{"uid_repository": {}, "data": {"__type__": "Loop"}}', "data: `Loop` is no term"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_term_is_refused(text: str, said: str) -> None:
    with pytest.raises(FormatError, match=re.escape(said)):
        imported(text)


# ---- JSON of the checked program ---------------------------------------------------------------


def checked(item: tuple[Path, str]) -> CheckedDiagram:
    diagram = ncdlang.load(item[0]).program.diagram(item[1])
    assert diagram is not None
    return diagram


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item[0].stem}-{item[1]}")
def test_json_and_back_is_the_same_program(item: tuple[Path, str]) -> None:
    diagram = checked(item)
    text = json_text(diagram)
    (back,) = program_of(text).diagrams
    assert render_checked(back) == render_checked(diagram)
    assert render(lower(back)) == render(lower(diagram))
    assert json_text(back) == text


@pytest.mark.parametrize("seed", range(200 if os.environ.get("NCDLANG_FULL") else 40))
def test_random_programs_go_to_json_and_back(seed: int) -> None:
    diagram = random_diagram(seed, seed % 3 == 0)
    if diagram is None:
        return
    text = json_text(diagram)
    (back,) = program_of(text).diagrams
    assert render_checked(back) == render_checked(diagram)
    assert json_text(back) == text


def test_the_same_text_gives_the_same_json() -> None:
    assert json_text(checked(ITEMS[0])) == json_text(checked(ITEMS[0]))


def test_json_says_its_version() -> None:
    value = json.loads(json_text(checked(ITEMS[0])))
    assert (value["format"], value["version"]) == ("ncdlang", 1)
    value["version"] = 2
    with pytest.raises(FormatError, match="version: this is version 2, only 1 is read"):
        program_of(json.dumps(value))


@pytest.mark.parametrize("seed", range(60))
def test_damaged_json_is_read_or_refused(seed: int) -> None:
    random = Random(seed)
    value = json.loads(json_text(checked(ITEMS[seed % len(ITEMS)])))
    holder, key = random.choice(places(value))
    if random.random() < 0.5:
        del holder[key]
    else:
        holder[key] = random.choice([None, True, -1, 10**9, "x", [], {}, {"ref": 0}, {"is": "os"}])
    try:
        (diagram,) = program_of(json.dumps(value)).diagrams
    except FormatError:
        return
    assert isinstance(diagram, CheckedDiagram)


@pytest.mark.parametrize("seed", range(40))
def test_json_that_does_not_fit_together_is_refused(
    seed: int, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """What is well-typed but no diagram of the checker is refused, or compiles all the same."""
    random = Random(seed)
    value = json.loads(json_text(checked(ITEMS[seed % len(ITEMS)])))
    holder, key = random.choice(places(value["objects"]))
    others = [h[k] for h, k in places(value["objects"]) if type(h[k]) is type(holder[key])]
    holder[key] = json.loads(json.dumps(random.choice(others)))
    file = tmp_path / "changed.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    code = main(["build", str(file), *(f"--size={name}=4" for name in ("m", "h", "k", "v"))])
    out, err = capsysbinary.readouterr()
    assert code in (0, 1, 2)
    assert b"internal error" not in err
    compile(out, "changed.py", "exec")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"version": 1', '"version": 2', "version: this is version 2, only 1 is read"),
        ('"version": 1', '"version": 2, "version": 1', "two members `version`"),
        ('"version": 1', f'"version": {"9" * 5000}', "a number has 5000 digits"),
        ('"version": 1', '"version": true', "version: a whole number is wanted"),
        ('"op": "exp"', '"op": "os.system"', "`Apply` has no such `op`"),
        ('"op": "exp"', '"op": "add"', "`add` takes 2"),
        ('"name": "real"', '"name": "int"', "type.kind.name: `Kind` has no such `name`"),
        ('"init": "normal"', '"init": "a)\\nimport os"', "init: `Learned` has no such `init`"),
        ('"op": "sum"', '"op": "map"', "`Reduce` has no such `op`"),
    ],
)
def test_hostile_json_is_refused(before: str, after: str, said: str) -> None:
    text = """
diagram f(X: [x m]) -> [] {
  learn W: [m] ~ normal(0, 1)
  return sum[x m](exp(X[x m]) * W[m])
}
"""
    good = json_text(ncdlang.loads(text).program.diagrams[0])
    assert before in good
    with pytest.raises(FormatError, match=re.escape(said)):
        program_of(good.replace(before, after, 1))


def test_wires_are_made_before_they_are_read() -> None:
    text = "diagram f(X: [x]) -> [x] {\n  Y = exp(X)\n  Z = sin(Y)\n  return Y * Z\n}\n"
    value = json.loads(json_text(ncdlang.loads(text).program.diagrams[0]))
    (diagram,) = [o for o in value["objects"] if o["is"] == "CheckedDiagram" and o["name"] == "f"]
    diagram["steps"].reverse()
    with pytest.raises(FormatError, match="`Y` is read before it is made"):
        program_of(json.dumps(value))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"is": "system"}, "objects[0].is: there is no record `system`"),
        ({"ref": 10**6}, "objects[0].size.ref: object 1000000 does not stand before this one"),
        ({"name": 3}, "objects[0].name: str is wanted"),
    ],
)
def test_errors_in_json_say_where(change: dict[str, Any], said: str) -> None:
    value = json.loads(json_text(checked(ITEMS[0])))
    if "ref" in change:
        change = {"size": change}
    value["objects"][0] |= change
    with pytest.raises(FormatError, match=re.escape(said)):
        program_of(json.dumps(value))


def test_commands_read_json(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    file, made = str(EXAMPLES[0]), tmp_path / "attention.json"
    assert main(["build", file, "attention", "--emit", "json", "-o", str(made)]) == 0
    assert main(["build", file, "attention"]) == 0
    expected = capsysbinary.readouterr().out
    assert main(["build", str(made)]) == 0
    assert capsysbinary.readouterr().out == expected
    made.write_text("{}")
    assert main(["build", str(made)]) == 1
    assert b"`format` is missing" in capsysbinary.readouterr().err
