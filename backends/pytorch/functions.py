"""Elementwise diagrams of the standard library that PyTorch has a function for."""

from __future__ import annotations

from dataclasses import dataclass

from ncdlang.semantics.program import CheckedDiagram

from .code import number

_PRELUDE = "std.prelude"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of one tensor: its name, and the text of its further arguments.

    `{slope}` in an argument stands for the diagram's setting of that name.
    """

    name: str
    arguments: tuple[str, ...] = ()

    def written(self, diagram: CheckedDiagram) -> list[str]:
        """The further arguments with the diagram's settings in them."""
        settings = {name: number(value, whole=True).text for name, value in diagram.settings}
        return [argument.format(**settings) for argument in self.arguments]


FUNCTIONS: dict[tuple[str, str], Function] = {
    (_PRELUDE, "clamp"): Function("torch.clamp", ("min={low}", "max={high}")),
    (_PRELUDE, "log2"): Function("torch.log2"),
    (_PRELUDE, "log10"): Function("torch.log10"),
    (_PRELUDE, "sinh"): Function("torch.sinh"),
    (_PRELUDE, "cosh"): Function("torch.cosh"),
    (_PRELUDE, "logit"): Function("torch.logit"),
    (_PRELUDE, "detach"): Function("torch.detach"),
    (_PRELUDE, "relu"): Function("torch.relu"),
    (_PRELUDE, "relu6"): Function("F.relu6"),
    (_PRELUDE, "leaky_relu"): Function("F.leaky_relu", ("negative_slope={slope}",)),
    (_PRELUDE, "elu"): Function("F.elu", ("alpha={alpha}",)),
    (_PRELUDE, "selu"): Function("F.selu"),
    (_PRELUDE, "gelu"): Function("F.gelu"),
    (_PRELUDE, "gelu_tanh"): Function("F.gelu", ('approximate="tanh"',)),
    (_PRELUDE, "silu"): Function("F.silu"),
    # Above the threshold PyTorch takes x itself, and below 40 that is not exact in float64.
    (_PRELUDE, "softplus"): Function("F.softplus", ("threshold=40",)),
    (_PRELUDE, "log_sigmoid"): Function("F.logsigmoid"),
    (_PRELUDE, "mish"): Function("F.mish"),
    (_PRELUDE, "hardswish"): Function("F.hardswish"),
    ("std.nn", "dropout"): Function("F.dropout", ("p={p}", "training=self.training")),
}
