"""Runs modules for `ncdc run`: arrays in, arrays out. Needs torch, which is imported when used."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING, Any, cast

from ncdlang.cli.console import CommandError
from ncdlang.cli.options import ask

if TYPE_CHECKING:
    import numpy as np

    from ncdlang.targets import Request


def make(backend: str, wanted: Request, options: Namespace) -> Any:
    """A module in eval mode on the device, its parameters random by the seed or as given."""
    torch = _torch()
    torch.manual_seed(options.seed)
    module = ask(backend, "module", wanted).eval()
    if options.param:
        _load_parameters(module, options.param)
    try:
        return module.to(options.device)
    except (RuntimeError, AssertionError) as error:
        raise CommandError(
            f"cannot use the device {options.device}: {_first_line(error)}"
        ) from error


def share_parameters(module: Any, other: Any) -> None:
    """Give the other module the parameters of the first."""
    other.load_state_dict(module.state_dict())


def call(module: Any, inputs: list[np.ndarray], options: Namespace) -> list[np.ndarray]:
    """The module's results for the inputs, which are rounded to the dtype first."""
    torch = _torch()
    dtype = _dtype(torch, options.dtype)
    tensors = [_tensor(torch, array, dtype).to(options.device) for array in inputs]
    try:
        with torch.no_grad():
            made: Any = module(*tensors)
    except (ValueError, IndexError, TypeError, RuntimeError, NotImplementedError) as error:
        if os.environ.get("NCDLANG_DEBUG"):
            raise
        raise CommandError(f"running it failed: {error}") from error
    return [_array(torch, result) for result in _as_tuple(made)]


def _as_tuple(made: Any) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", made) if isinstance(made, tuple) else (made,)


def _torch() -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise CommandError("running needs PyTorch", "pip install 'ncdlang[torch]'") from error
    return torch


def _dtype(torch: Any, name: str) -> Any:
    names = {"f64": "float64", "f32": "float32", "bf16": "bfloat16", "f16": "float16"}
    return getattr(torch, names[name])


def _tensor(torch: Any, array: np.ndarray, dtype: Any) -> Any:
    tensor = torch.from_numpy(array.copy())
    if tensor.is_complex():
        return tensor.to(torch.complex128 if dtype is torch.float64 else torch.complex64)
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _array(torch: Any, tensor: Any) -> np.ndarray:
    tensor = tensor.detach().cpu()
    # NumPy has no bfloat16; every one of its values is a float32.
    array: np.ndarray = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return array


def _load_parameters(module: Any, path: str) -> None:
    torch = _torch()
    try:
        state = (
            _read_npz(torch, path)
            if path.endswith(".npz")
            else torch.load(path, map_location="cpu", weights_only=True)
        )
        module.load_state_dict(state)
    except OSError as error:
        raise CommandError(
            f"cannot read {path}: {(error.strerror or str(error)).lower()}"
        ) from error
    except Exception as error:  # torch.load raises pickle's and zip's own errors for other files
        raise CommandError(f"cannot use the parameters in {path}: {error}") from error


def _read_npz(torch: Any, path: str) -> dict[str, Any]:
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0]
