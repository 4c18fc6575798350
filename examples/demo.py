"""The way through ncdlang on one example: check, draw, build and run causal attention.

Run by `make demo`. The last part runs multi-head attention on a small text and compares the
result with PyTorch written by hand.
"""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import ncdlang

EXAMPLES = Path(__file__).parent
FILE = EXAMPLES / "attention.ncd"
POEM = EXAMPLES / "data" / "sea.txt"
OUT = EXAMPLES.parent / "build" / "demo"
SIZES = {"h": 4, "k": 16, "m": 64}
LENGTH = 31
TOLERANCE = 1e-5


def main() -> int:
    """Show every step; exit code 1 if the results differ."""
    OUT.mkdir(parents=True, exist_ok=True)
    title("The checked types", f"ncdc check --types {show(FILE)}")
    ncdc("check", "--types", FILE)
    title("The drawing", f"ncdc draw {show(FILE)} multi_head -o {show(OUT / 'multi_head.svg')}")
    ncdc("draw", FILE, "multi_head", "-o", OUT / "multi_head.svg", may_fail=True)
    print("\n".join(show(path) for path in sorted(OUT.glob("multi_head.[sg]v*"))))
    title("The module", f"ncdc build {show(FILE)} multi_head -o {show(OUT / 'multi_head.py')}")
    ncdc("build", FILE, "multi_head", "-o", OUT / "multi_head.py")
    print(excerpt((OUT / "multi_head.py").read_text(encoding="utf-8"), "class MultiHead"))
    title("Causal attention over a poem", f"multi_head of {show(FILE)} on {show(POEM)}")
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


def title(text: str, command: str) -> None:
    """A heading with the command that follows."""
    print(f"\n== {text}\n   {command}\n", flush=True)


def ncdc(*arguments: object, may_fail: bool = False) -> None:
    """Run the compiler; its messages are shown."""
    command = [sys.executable, "-m", "ncdlang.cli", *map(str, arguments)]
    finished = subprocess.run(command, check=False)
    if finished.returncode and not may_fail:
        sys.exit(finished.returncode)


def excerpt(text: str, start: str, count: int = 10) -> str:
    """Ten lines of the module: the `forward` of the class that begins with `start`."""
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(start))
    forward = next(i for i in range(first, len(lines)) if "def forward" in lines[i])
    return "\n".join(lines[forward : forward + count])


def numbers(tensor: torch.Tensor) -> str:
    """The first entries of the last position."""
    return " ".join(f"{value:+.4f}" for value in tensor[0, -1, :6].tolist())


def show(path: Path) -> str:
    """A path as seen from the folder of the checkout."""
    return path.relative_to(EXAMPLES.parent).as_posix()


if __name__ == "__main__":
    sys.exit(main())
