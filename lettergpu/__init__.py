"""Train fully-connected networks from scratch to recognise handwritten letters, on NumPy, CuPy, PyTorch or SYCL.

Public names are loaded when first used, so that importing this stays fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .backends.libraries import device as device
    from .config import Config as Config
    from .data.letters import Examples as Examples
    from .errors import LettergpuError as LettergpuError
    from .interop.estimator import LetterClassifier as LetterClassifier
    from .nn.network import Network as Network
    from .reading.eyes import load_letters as load_letters
    from .reading.reader import read as read
    from .reading.reading import Letter as Letter
    from .reading.reading import Reading as Reading
    from .training.checkpoint import load as load
    from .training.loop import fit as fit
    from .training.tuning import fine_tune as fine_tune

__version__ = "0.1.0"

_HOMES = {
    "Config": "config",
    "Examples": "data.letters",
    "LettergpuError": "errors",
    "device": "backends.libraries",
    "Letter": "reading.reading",
    "LetterClassifier": "interop.estimator",
    "Network": "nn.network",
    "Reading": "reading.reading",
    "fine_tune": "training.tuning",
    "fit": "training.loop",
    "load": "training.checkpoint",
    "load_letters": "reading.eyes",
    "read": "reading.reader",
}
__all__ = [name for name in _HOMES if name != "LetterClassifier"]  # for which scikit-learn has to be there


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
