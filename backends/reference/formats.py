"""Number formats: the nearest value that a real held in a format can have.

Rounding goes straight from float64 to the format, ties to even; going through a wider format on
the way would round twice. What is too large becomes infinite, or the largest number in `f8e4m3`,
which has no infinities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ncdlang.semantics.types import Kind


@dataclass(frozen=True, slots=True)
class _Format:
    """Significant bits, exponent of the smallest positive number, and how large numbers end."""

    precision: int
    least: int
    largest: float
    beyond: float = np.inf


_FORMATS = {
    "f32": _Format(24, -149, float(np.finfo(np.float32).max)),
    "bf16": _Format(8, -133, (2 - 2**-7) * 2.0**127),
    "f16": _Format(11, -24, 65504.0),
    "f8e4m3": _Format(4, -9, 448.0, 448.0),
    "f8e5m2": _Format(3, -16, 57344.0),
}


def rounds(kind: Kind) -> bool:
    """Whether a real of this kind is held in a format that is narrower than float64."""
    return kind.format in _FORMATS


def nearest(values: Any, kind: Kind) -> Any:
    """The float64 values (an array or a number) rounded to the format of their kind.

    Reals without a format are those of the module's own, which nothing is rounded to here.
    """
    form = _FORMATS.get(kind.format or "")
    if form is None:
        return values
    _, exponent = np.frexp(values)
    step = np.maximum(exponent - form.precision, form.least)
    rounded = np.ldexp(np.rint(np.ldexp(values, -step)), step)
    beyond = np.copysign(form.beyond, rounded)
    return np.where(np.abs(rounded) > form.largest, beyond, rounded)[()]
