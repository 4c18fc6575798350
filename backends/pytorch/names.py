"""Names and texts of a `.ncd` file as Python: identifiers, docstrings and comments.

Whatever a file's author wrote is untrusted here: a name comes out as an identifier that means
nothing else in the emitted module, and documentation as text that can't end its own quotes.
"""

from __future__ import annotations

import builtins
import keyword
import unicodedata
from collections.abc import Iterable
from textwrap import wrap

from ncdlang.semantics.program import CheckedDiagram

# What the emitted code itself refers to. No local variable or class may hide it.
GLOBALS = frozenset({"F", "Tensor", "math", "nn", "torch"})
BUILTINS = frozenset(name for name in dir(builtins) if not name.startswith("_"))
_KEYWORDS = frozenset(keyword.kwlist)

# dir(torch.nn.Module()), so that text is emitted without importing torch; a test compares them.
_MODULE_ATTRIBUTES = """
T_destination _apply _backward_hooks _backward_pre_hooks _buffers _call_impl
_compiled_call_impl _forward_hooks _forward_hooks_always_called _forward_hooks_with_kwargs
_forward_pre_hooks _forward_pre_hooks_with_kwargs _get_backward_hooks _get_backward_pre_hooks
_get_name _is_full_backward_hook _is_hf_initialized _load_from_state_dict
_load_state_dict_post_hooks _load_state_dict_pre_hooks _maybe_warn_non_full_backward_hook
_modules _named_members _non_persistent_buffers_set _parameters
_register_load_state_dict_pre_hook _register_state_dict_hook _replicate_for_data_parallel
_save_to_state_dict _slow_forward _state_dict_hooks _state_dict_pre_hooks _version
_wrapped_call_impl add_module apply bfloat16 buffers call_super_init children compile cpu cuda
double dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter
get_submodule half ipu load_state_dict modules mtia named_buffers named_children named_modules
named_parameters parameters register_backward_hook register_buffer register_forward_hook
register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module
register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_
set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu
zero_grad
"""
# Emitted classes with parameters have a method of this name beside.
MODULE_ATTRIBUTES = frozenset(_MODULE_ATTRIBUTES.split()) | {"reset_parameters"}


def spelled(name: str) -> str:
    """A name with only the characters of a Python identifier: `x'` becomes `x_`.

    Python reads identifiers in NFKC, and mangles those of a class that begin with `__`.
    """
    letters = unicodedata.normalize("NFKC", name)
    text = "".join(c if f"a{c}".isidentifier() else "_" for c in letters)
    if not text[:1].isidentifier():
        text = f"_{text}"
    return f"_{text.lstrip('_')}" if text.startswith("__") else text


class Scope:
    """Identifiers that are taken in one scope of the emitted module."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def claim(self, name: str) -> str:
        """An identifier for `name` that nothing else has, made free by trailing underscores."""
        text = spelled(name)
        while text in self._taken or text in _KEYWORDS:
            text += "_"
        self._taken.add(text)
        return text

    def claim_numbered(self, name: str) -> str:
        """As `claim`, made free by a number: `linear`, `linear_2`."""
        text = spelled(name)
        count = 1
        candidate = text
        while candidate in self._taken or candidate in _KEYWORDS:
            count += 1
            candidate = f"{text}_{count}"
        self._taken.add(candidate)
        return candidate


def local_scope(taken: Iterable[str]) -> Scope:
    """The variables of one method: they hide no builtin and no global of the module."""
    return Scope({*GLOBALS, *BUILTINS, "self", *taken})


def attribute_names(diagram: CheckedDiagram) -> dict[str, str]:
    """How the parameters and instances of a diagram are called in a `state_dict`.

    One entry for each raw parameter and for each instance (for a stack `layer.0`, of its stem
    `layer`), from its name in the file to an attribute that `nn.Module` does not have.
    """
    scope = Scope(MODULE_ATTRIBUTES)
    stems = [learned.wire.name for learned in diagram.learned]
    stems += [instance.name.split(".")[0] for instance in diagram.instances]
    return {stem: scope.claim(stem) for stem in dict.fromkeys(stems)}


def class_name(name: str) -> str:
    """`multi_head` as `MultiHead`."""
    words = [word for word in spelled(name).split("_") if word]
    text = "".join(word[:1].upper() + word[1:] for word in words) or "Diagram"
    return text if text.isidentifier() else f"Diagram{text}"


# ---- texts --------------------------------------------------------------------------------------


def visible(text: str, keep: str = "") -> str:
    """The text with everything that is not printable, except `keep`, as an escape."""
    return "".join(
        c if c in keep or c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def comment(text: str) -> str:
    """Text that fits into one comment line."""
    return visible(" ".join(text.split()))


def docstring(text: str, indent: str) -> list[str]:
    """The lines of a docstring that holds `text`, each with `indent`."""
    # Python makes no class whose documentation can't be encoded or holds a zero.
    text = "".join("\ufffd" if c == "\0" or 0xD800 <= ord(c) < 0xE000 else c for c in text)
    safe = text.strip().replace("\\", "\\\\")
    if '"""' in safe or safe.endswith('"'):
        safe = safe.replace('"', '\\"')
    safe = visible(safe, keep="\n")
    width = 97 - len(indent)
    lines = [part for line in safe.split("\n") for part in wrap(line.rstrip(), width) or [""]]
    if len(lines) == 1:
        return [f'{indent}"""{lines[0]}"""']
    body = [f"{indent}{line}" if line else "" for line in lines[1:]]
    return [f'{indent}"""{lines[0]}', *body, f'{indent}"""']


def quoted(text: str) -> str:
    """A string literal in double quotes."""
    safe = visible(text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
    return f'"{safe}"'


def f_string(*parts: str | tuple[str]) -> str:
    """A formatted string: plain texts, and expressions as tuples of one."""
    if not any(isinstance(part, tuple) for part in parts):
        return quoted("".join(part for part in parts if isinstance(part, str)))
    inner = "".join(
        f"{{{part[0]}}}"
        if isinstance(part, tuple)
        else quoted(part)[1:-1].replace("{", "{{").replace("}", "}}")
        for part in parts
    )
    return f'f"{inner}"'
