"""Accelerators as the cost model sees them: a table of capacities, bandwidths and peak rates.

H100 figures are those of arXiv 2412.03317 (section 5); the rest are the vendor's data sheets.
"""

from __future__ import annotations

from ncdlang.records import record

KIB = 1024


@record
class Device:
    """One accelerator. Bandwidth in bytes a second, rates in FLOP a second, dense.

    `shared` is what one thread block may have of `shared_total`, the fast memory of one of its
    `processors`; `registers` are the bytes of registers of a processor.
    """

    name: str
    bandwidth: float
    rates: tuple[tuple[str, float], ...]
    processors: int
    shared_total: int
    shared: int
    registers: int
    cache: int

    def rate(self, dtype: str) -> float:
        """The peak of products of matrices in a format; that of the next wider one it has."""
        known = dict(self.rates)
        order = ("f8e4m3", "f8e5m2", "f16", "bf16", "f32", "f64")
        later = order[order.index(dtype) :] if dtype in order else order
        return next((known[name] for name in later if name in known), known["f32"])


def _rates(
    half: float, single: float, eighth: float | None = None
) -> tuple[tuple[str, float], ...]:
    found = [("f16", half), ("bf16", half), ("f32", single)]
    if eighth is not None:
        found += [("f8e4m3", eighth), ("f8e5m2", eighth)]
    return tuple((name, rate * 1e12) for name, rate in found)


DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        Device(
            "a100-40", 1.555e12, _rates(312, 19.5), 108, 164 * KIB, 163 * KIB, 256 * KIB, 40 << 20
        ),
        Device("a100", 2.04e12, _rates(312, 19.5), 108, 164 * KIB, 163 * KIB, 256 * KIB, 40 << 20),
        Device(
            "h100", 3.35e12, _rates(989, 67, 1979), 132, 228 * KIB, 227 * KIB, 256 * KIB, 50 << 20
        ),
        Device(
            "h200", 4.8e12, _rates(989, 67, 1979), 132, 228 * KIB, 227 * KIB, 256 * KIB, 50 << 20
        ),
    )
}

WIDTHS = {"f64": 8, "f32": 4, "bf16": 2, "f16": 2, "f8e4m3": 1, "f8e5m2": 1}
