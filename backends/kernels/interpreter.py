"""Makes Triton's interpreter compute as a GPU does, and scan in good time.

Upstream (3.3 to 3.9) keeps bfloat16 as the 16 bits of an integer: products of matrices and
elementwise operations then work on the bits, and rounding to bfloat16 cuts off. Here operands are
widened to float32 and results rounded to the nearest even. Products of matrices of float32 add up
in order, as Triton's do on a GPU: what is transposed is then the same to the last bit, which a
kernel that works scores out again relies on, and a BLAS is not bound to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_BITWISE = ("bitwise_and", "bitwise_or", "bitwise_xor")
_installed: list[bool] = []


def widened(bits: Any) -> Any:
    """The float32 values of bfloat16 bits."""
    return (np.ascontiguousarray(bits).astype(np.uint32) << 16).view(np.float32)


def rounded(values: Any) -> Any:
    """The bits of the nearest bfloat16, ties to even."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    made = ((bits + ((bits >> 16) & 1) + np.uint32(0x7FFF)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), made)


def in_order(left: Any, right: Any, onto: Any) -> Any:
    """A product of float32 matrices added to another one, by one fused operation after another."""
    total = np.array(onto, dtype=np.float32)
    columns, rows = left.astype(np.float64), right.astype(np.float64)
    for k in range(columns.shape[-1]):
        # Products of float32 are exact in float64.
        total = (total + columns[..., :, k, None] * rows[..., k, None, :]).astype(np.float32)
    return total


def install() -> None:
    """Correct the interpreter of this process, once."""
    if _installed:
        return
    _installed.append(True)
    import triton
    import triton.language as tl
    from triton.runtime import interpreter

    # Emitted files take kernels of bfloat16 on the CPU only then.
    setattr(triton, "BFLOAT16_IS_RIGHT", True)  # noqa: B010
    builder: Any = interpreter.InterpreterBuilder
    handle: Any = interpreter.TensorHandle
    dot, binary, unary = builder.create_dot, builder.binary_op, builder.unary_op
    cast, convert = builder.cast_impl, builder.create_fp_to_fp

    def is_short(value: Any) -> bool:
        return value.dtype.scalar == tl.bfloat16

    def wide(value: Any) -> Any:
        return handle(widened(value.data), tl.float32) if is_short(value) else value

    def create_dot(self: Any, a: Any, b: Any, d: Any, *rest: Any) -> Any:
        if a.dtype.scalar == b.dtype.scalar == d.dtype.scalar == tl.float32:
            return handle(in_order(a.data, b.data, d.data), tl.float32)
        return dot(self, wide(a), wide(b), d, *rest)

    def binary_op(self: Any, left: Any, right: Any, op: Any) -> Any:
        if not is_short(left) or op.__name__ in _BITWISE:
            return binary(self, left, right, op)
        made = op(widened(left.data), widened(right.data))
        return handle(made, tl.int1) if made.dtype == bool else handle(rounded(made), tl.bfloat16)

    def unary_op(self: Any, value: Any, op: Any) -> Any:
        if not is_short(value):
            return unary(self, value, op)
        return handle(rounded(op(widened(value.data))), tl.bfloat16)

    def cast_impl(self: Any, source: Any, target: Any) -> Any:
        old, new = source.dtype.scalar, target.scalar
        if old == new == tl.bfloat16:
            return source
        if old == tl.bfloat16:
            return cast_impl(self, wide(source), target)
        if new == tl.bfloat16:
            return handle(rounded(source.data.astype(np.float32)), new)
        return cast(self, source, target)

    def create_fp_to_fp(self: Any, source: Any, target: Any, rounding: Any) -> Any:
        if tl.bfloat16 in (source.dtype.scalar, target.scalar):
            return cast_impl(self, source, target)
        return convert(self, source, target, rounding)

    patch: Any = interpreter._patch_lang_tensor  # pyright: ignore[reportPrivateUsage]

    def patch_tensor(tensor: Any, scope: Any) -> None:
        patch(tensor, scope)
        # 3.6 makes whole numbers of arrays with one entry, which NumPy 2.4 refuses.
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.squeeze()))

    setattr(interpreter, "_patch_lang_tensor", patch_tensor)  # noqa: B010
    scans: Any = interpreter.ScanOps
    scans.generic_scan = _scan
    builder.create_dot, builder.binary_op, builder.unary_op = create_dot, binary_op, unary_op
    builder.cast_impl, builder.create_fp_to_fp = cast_impl, create_fp_to_fp


def _scan(self: Any, inputs: Any) -> list[Any]:
    """An associative scan, a whole slice at a time; upstream goes entry by entry."""
    arrays = [np.moveaxis(each.handle.data, self.axis, 0) for each in inputs]
    made = [np.array(array) for array in arrays]
    for i in range(1, arrays[0].shape[0]):
        slices = [(m[i - 1], a[i]) for m, a in zip(made, arrays, strict=True)]
        before, here = (
            [self.to_tensor(np.array(s[k]), e.dtype) for s, e in zip(slices, inputs, strict=True)]
            for k in (0, 1)
        )
        found = self.combine_fn.fn(*before, *here)
        for m, part in zip(made, found if isinstance(found, tuple) else (found,), strict=True):
            m[i] = part.handle.data
    whole = (np.ascontiguousarray(np.moveaxis(m, 0, self.axis)) for m in made)
    return [self.to_tensor(m, each.dtype) for m, each in zip(whole, inputs, strict=True)]
