"""Train fully-connected networks from scratch to recognise handwritten letters, on NumPy or CuPy.

Public names are loaded when first used, so that importing this stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import load as load
    from .config import Config as Config
    from .data.letters import load_letters as load_letters
    from .errors import LettergpuError as LettergpuError
    from .network import Network as Network
    from .reading import Letter as Letter
    from .reading import Reading as Reading
    from .reading import read as read
    from .training import fit as fit

__version__ = "0.1.0"

_HOMES = {
    "Config": "config",
    "LettergpuError": "errors",
    "Letter": "reading",
    "Network": "network",
    "Reading": "reading",
    "fit": "training",
    "load": "checkpoint",
    "load_letters": "data.letters",
    "read": "reading",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
