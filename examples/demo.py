"""The way through ncdlang on one example: check, draw, build and run causal attention.

Run by `make demo`. The last part runs multi-head attention on a small text and compares the
result with PyTorch written by hand.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import ncdlang

# Paths from the folder of the checkout, as one types them there.
ROOT = Path(__file__).parent.parent
FILE = Path("examples", "attention.ncd")
POEM = Path("examples", "data", "sea.txt")
OUT = Path("build", "demo")
SIZES = {"h": 4, "k": 16, "m": 64}
LENGTH = 31
TOLERANCE = 1e-5


def main() -> int:
    """Show every step; exit code 1 if the results differ."""
    os.chdir(ROOT)
    OUT.mkdir(parents=True, exist_ok=True)
    title("The checked types")
    if not ncdc("check", "--types", FILE):
        return 1
    title("The drawing")
    drawing, module = OUT / "multi_head.svg", OUT / "multi_head.py"
    if not ncdc("draw", FILE, "multi_head", "-o", drawing):
        drawing = drawing.with_suffix(".gv")
    print(f"The drawing is in {drawing}")
    title("The module")
    if not ncdc("build", FILE, "multi_head", "-o", module):
        return 1
    print("It ends:\n")
    print("\n".join(module.read_text(encoding="utf-8").splitlines()[-10:]))
    title("Causal attention over a poem, against PyTorch by hand")
    return compare()


def compare() -> int:
    """Run the compiled module and PyTorch by hand on the poem."""
    torch.manual_seed(0)
    lines = POEM.read_text(encoding="utf-8").splitlines()
    letters = sorted(set("".join(lines)))
    tokens = torch.tensor(
        [[letters.index(c) for c in line[:LENGTH].ljust(LENGTH)] for line in lines]
    )
    x = torch.randn(len(letters), SIZES["m"])[tokens]

    module = ncdlang.load(FILE).module("multi_head", sizes=SIZES)
    with torch.no_grad():
        ours = module(x)
        theirs = by_hand(module, x)
    print(f"{len(lines)} lines of {LENGTH} letters, {len(letters)} of them different, embedded:")
    print(f"  X {list(x.shape)} -> multi_head -> {list(ours.shape)}")
    print(f"  first entries      {numbers(ours)}")
    print(f"  PyTorch by hand    {numbers(theirs)}")
    worst = (ours - theirs).abs().max().item()
    print(f"  largest difference {worst:.1e}")
    return int(not worst <= TOLERANCE)


def by_hand(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """What the diagram says, as one writes it without it. x is [lines, letters, m]."""
    weights = module.state_dict()
    h, k, m = (SIZES[name] for name in "hkm")
    q, key, v = (
        F.linear(x, weights[f"{name}.weight"].reshape(h * k, m))
        .view(*x.shape[:2], h, k)
        .transpose(1, 2)
        for name in ("Lq", "Lk", "Lv")
    )
    scores = q @ key.transpose(-1, -2) / math.sqrt(k)
    future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    mixed = scores.masked_fill(future, -math.inf).softmax(-1) @ v
    mixed = mixed.transpose(1, 2).reshape(*x.shape[:2], h * k)
    return F.linear(mixed, weights["Lo.weight"].reshape(m, h * k))


def title(text: str) -> None:
    """A heading."""
    print(f"\n== {text}\n", flush=True)


def ncdc(*arguments: object) -> bool:
    """Run the compiler and show what it says. False if it could not do what was asked."""
    told = [str(argument) for argument in arguments]
    print(f"$ ncdc {' '.join(told)}", flush=True)
    return subprocess.run([sys.executable, "-m", "ncdlang.cli", *told], check=False).returncode == 0


def numbers(tensor: torch.Tensor) -> str:
    """The first entries of the last position."""
    return " ".join(f"{value:+.4f}" for value in tensor[0, -1, :6].tolist())


if __name__ == "__main__":
    sys.exit(main())
