"""A project that a client of the language server has open, for the tests of one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lsp_client import Client, File

LAYERS = """## Half of it.
diagram halved(X: [n]) -> [n] { return 0.5 * X }

## Sums over the last axis.
diagram total[scale = 2](X: [x h]) -> [x] {
  return Y[x] = sum[h](X)
}
"""

MAIN = """use std.nn.{linear, rms_norm}
use layers.{halved}
use layers as l

axis v = 100
const depth = 2

## Scores: every query with every key.
diagram scores(Q: [q k], K: [x k]) -> [q x] {
  S[q x] = Q[q k] * K[x k] / sqrt(size(k))
  return softmax[x](S)
}

diagram attend[k](X: [x m]) -> [x m] {
  learn Lq, Lk: linear[m -> k]
  learn Lv: linear[m -> m]
  P = scores(Lq(X), Lk(X))
  V = Lv(X)
  block "Mix" {
    Y[q m] = P[q x] * V[x m]
  }
  return R[x m] = X[x m] + Y[x, m]
}

diagram conv[j = 3, c'](X: [x c]) -> [x' c'] {
  learn W: [c' j c]
  return O[x' c'] = W[c' j c] * X[x' + j, c]
}

diagram stack[k] : [x m] -> [x m] = attend^depth

diagram twice(A: [a b]) -> [a b] { return l.halved(halved(A)) }

config small { v = 10, k = 4 }
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[Client]:
    made = Client(root)
    yield made
    made.settle()
    assert made.log == []
    assert made.windows == []
    assert made.stop() == 0
    assert b"Traceback" not in made.errors


@pytest.fixture(scope="module")
def main(client: Client, root: Path) -> File:
    (root / "layers.ncd").write_text(LAYERS, encoding="utf-8")
    made = File(client, root / "main.ncd", MAIN)
    assert made.open() == []
    return made


@pytest.fixture
def draft(client: Client, root: Path) -> Iterator[File]:
    """A document of the test's own, empty at first."""
    made = File(client, root / "draft.ncd", "")
    assert made.open() == []
    yield made
    client.close(made.uri)
    made.path.unlink()
