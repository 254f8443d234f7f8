"""Options that commands share, described from Config, the home of their defaults."""

from typing import Annotated, Any

import typer

from ..config import CHOICES, Config, option
from ..errors import LettergpuError


def setting(name: str, text: str) -> Any:
    """An option that overrides a setting of Config; its default and choices are shown from there."""
    default = getattr(Config, name)
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
    if name in CHOICES:
        text += f" One of {', '.join(CHOICES[name])}."
    return typer.Option(option(name), help=text, show_default=shown)


def flag(name: str, text: str) -> Any:
    """The same of a setting that is on or off, as --name and --no-name."""
    on, off = option(name), option(f"no_{name}")
    return typer.Option(f"{on}/{off}", help=text, show_default=(on if getattr(Config, name) else off)[2:])


Data = Annotated[str | None, setting("data", "auto, builtin, or a folder with EMNIST's IDX files.")]
SplitName = Annotated[str | None, setting("split", "EMNIST's split.")]
DEVICE_HELP = "auto, cpu, cuda[:N]; torch[:cpu|cuda[:N]|xpu[:N]|mps] or sycl[:cpu|gpu[:N]] for other libraries."
DeviceName = Annotated[str | None, setting("device", DEVICE_HELP)]

VIEWS_HELP = "Looks at an image turned, sheared, scaled that the finished network averages over: 1, 3, 9, 27."


def parse_hidden(text: str) -> tuple[int, ...]:
    """--hidden as Config has it."""
    if text.strip() in ("", "none"):
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise LettergpuError(f"--hidden {text}: give numbers of nodes such as 512,256,128, or none") from None
