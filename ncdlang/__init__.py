"""Neural circuit diagrams in text, and a compiler for them.

`load` and `loads` check a `.ncd` file and give a `Library` of its diagrams, which makes
PyTorch modules, readable source and drawings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncdlang.api import Library, NcdError, load, loads

__all__ = ["Library", "NcdError", "load", "loads"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: `ncdc` and the backends import this package too.
    if name in __all__:
        from ncdlang import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext ncdlang` calls: notebooks get the magic `%%ncd`."""
    from ncdlang import jupyter

    jupyter.load(shell)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
