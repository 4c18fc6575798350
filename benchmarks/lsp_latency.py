"""How long an editor waits for the language server, measured over the protocol.

    python benchmarks/lsp_latency.py [--lines 1000] [--keystrokes 150]

A client process types into a generated file, one character after the other, each once the answer to
the one before is there: from the edit to the findings of its version, and from a completion request
to its answer. Printed are the median and the 95th percentile in milliseconds, and, where the
system tells it, the processor time that the server took for each edit with its completion.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.lsp_client import Client

PART = """## Attention number {i}.
diagram core{i}(Q: [q h k], K: [x h k], V: [x h k]) -> [q h k] {{
  S[h q x] = Q[q h k] * K[x h k] / sqrt(size(k))     # k is contracted
  M[h q x] = where(x <= q, S[h q x], -inf)
  P        = softmax[x](M)
  return O[q h k] = P[h q x] * V[x h k]
}}

diagram conv{i}[j = 3, c'](X: [x c]) -> [x' c'] {{
  learn W: [c' j c]
  return Y[x' c'] = W[c' j c] * X[x' + j, c]
}}

diagram layer{i}[h, k, f](X: [x m]) -> [x m] {{
  learn Lq, Lk, Lv: linear[m -> h k]
  learn Lo: linear[h k -> m]
  N = rms_norm[m](X)
  block "Attention" {{
    C = core{i}(Lq(N), Lk(N), Lv(N))
  }}
  R = X + Lo(C)
  learn up: affine[m -> f]
  learn down: affine[f -> m]
  return R + down(relu(up(R)))
}}

"""
HEAD = "use std.nn.{linear, rms_norm, affine}\n\naxis vocab = 1000\nconst depth = 4\n\n"
TYPED = "  T = exp(R) + 2 * relu(X)\n"
CONFIG = "config small { vocab = 10 }\n"


def generated(lines: int) -> str:
    """A file of about so many lines."""
    parts = [HEAD]
    while sum(part.count("\n") for part in parts) < lines:
        parts.append(PART.format(i=len(parts)))
    return "".join([*parts, CONFIG])


def place(text: str, offset: int) -> dict[str, int]:
    before = text[:offset]
    return {"line": before.count("\n"), "character": offset - before.rfind("\n") - 1}


class Typist:
    """Types into one document and notes how long the answers take."""

    def __init__(self, client: Client, uri: str, text: str) -> None:
        self.client = client
        self.uri = uri
        self.text = text
        self.version = 1
        self.findings: list[float] = []
        self.completions: list[float] = []
        self.worked = 0.0

    def press(self, offset: int, written: str, dropped: int = 0) -> None:
        """One keystroke, and then a completion."""
        self.version += 1
        range = {"start": place(self.text, offset), "end": place(self.text, offset + dropped)}
        self.text = self.text[:offset] + written + self.text[offset + dropped :]
        begun = perf_counter()
        self.client.change(self.uri, self.version, {"range": range, "text": written})
        self.client.wait(self.uri, self.version)
        self.findings.append(self.client.findings[self.uri]["received"] - begun)

    def complete(self, offset: int) -> None:
        """Ask what could be written."""
        params = {"textDocument": {"uri": self.uri}, "position": place(self.text, offset)}
        begun = perf_counter()
        self.client.request("textDocument/completion", params)
        self.completions.append(perf_counter() - begun)


def measure(lines: int, keystrokes: int) -> Typist:
    """Type into a file of so many lines."""
    text = generated(lines)
    source = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        client = Client(Path(folder))
        uri = (Path(folder) / "large.ncd").as_uri()
        found = client.open(uri, text)
        assert found == [], found
        typist = Typist(client, uri, text)
        bodies = [i for i in range(len(text)) if text.startswith("  R = X + Lo(C)\n", i)]
        begun = processor_time(client.process.pid)
        while len(typist.findings) < keystrokes:
            start = source.choice([i for i in bodies if i < len(typist.text)])
            start = typist.text.index("  R = X + Lo(C)\n", start - 400 if start > 400 else 0)
            start += len("  R = X + Lo(C)\n")
            for count, letter in enumerate(TYPED):
                typist.press(start + count, letter)
                typist.complete(start + count + 1)
            typist.press(start, "", len(TYPED))
        typist.worked = processor_time(client.process.pid) - begun
        assert client.stop() == 0
    return typist


def processor_time(process: int) -> float:
    """Seconds that a process has worked; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def told(name: str, seconds: list[float]) -> str:
    """One line of the table."""
    ordered = sorted(seconds)
    late = ordered[int(0.95 * (len(ordered) - 1))]
    return (
        f"{name:28} median {1000 * statistics.median(ordered):6.1f} ms   p95 {1000 * late:6.1f} ms"
    )


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--keystrokes", type=int, default=150)
    options = parser.parse_args()
    typist = measure(options.lines, options.keystrokes)
    count = len(typist.findings)
    print(f"{options.lines} lines, {count} keystrokes")
    print(told("keystroke to findings", typist.findings))
    print(told("request to completion", typist.completions))
    if typist.worked:
        print(
            f"{'server, for both':28} mean   {1000 * typist.worked / count:6.1f} ms of a processor"
        )


if __name__ == "__main__":
    main()
