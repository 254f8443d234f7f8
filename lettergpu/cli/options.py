"""Options that commands share, described from Config, the home of their defaults."""

from typing import Annotated, Any

import typer

from ..config import CHOICES, Config, option
from ..errors import LettergpuError
from ..files import as_text


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


DATA_HELP = "auto, builtin, or a folder or file: IDX, CSV, .mat, .npz, Parquet, or a folder of pictures for each class."
ORIENTATION_HELP = "How the files hold their images; auto reads some both ways."
TEST_HELP = "Share of each class to test on, where there is no test part."
Data = Annotated[str | None, setting("data", DATA_HELP)]
Lying = Annotated[str | None, setting("orientation", ORIENTATION_HELP)]
TestShare = Annotated[float | None, setting("test", TEST_HELP)]
SplitName = Annotated[str | None, setting("split", "EMNIST's split.")]
DEVICE_HELP = "auto, cpu, cuda[:N]; torch[:cpu|cuda[:N]|xpu[:N]|mps] or sycl[:cpu|gpu[:N]] for other libraries."
DeviceName = Annotated[str | None, setting("device", DEVICE_HELP)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No bars and tables, but the answer alone.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]

VIEWS_HELP = "Looks at an image turned, sheared, scaled that the finished network averages over: 1, 3, 9, 27."


def config_of(**given: Any) -> Config:
    """The settings with those that were given."""
    if given.get("data") is not None:
        given["data"] = as_text(given["data"])
    return Config(**{name: value for name, value in given.items() if value is not None})


def parse_hidden(text: str) -> tuple[int, ...]:
    """--hidden as Config has it."""
    if text.strip() in ("", "none"):
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise LettergpuError(f"--hidden {text}: give numbers of nodes such as 512,256,128, or none") from None
