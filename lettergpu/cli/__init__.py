"""The command line: what a person types and sees. A file a command; everything heavy is imported inside them."""

import sys
import warnings
from typing import Any

import typer

from ..errors import LettergpuError
from . import streams
from .data import data_app
from .evaluate import evaluate
from .machine import bench, info
from .predict import predict, serve
from .runs import compare, runs, study
from .streams import say
from .sweep import sweep
from .train import train

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train fully-connected networks to recognise handwritten letters.",
)
for command in (predict, serve, train, evaluate, runs, compare, bench, study, sweep, info):
    app.command()(command)
app.add_typer(data_app, name="data")

UsageError: Any = typer.BadParameter.__bases__[0]  # that of all that can be wrong with a command line


def main() -> None:
    """Run the command line; what a user can cause ends in one line and exit code 2."""
    warnings.showwarning = lambda message, *_: say(f"warning: {message}")
    sys.exit(streams.finished(_run()))


def _run() -> int:
    """The exit code that the command came to."""
    try:
        streams.prepare()
        return app(standalone_mode=False) or 0
    except SystemExit as stop:
        return int(stop.code or 0)
    except LettergpuError as error:
        say(f"error: {error}")
    except UsageError as error:
        say(f"error: {error.format_message()} See lettergpu --help")
    except MemoryError as error:
        from ..backends.device import shortage

        say(f"error: not enough memory: {shortage(error)}; try a smaller --batch-size or --hidden")
    except OSError as error:
        if not streams.unwritten(sys.__stdout__):
            where = f"{error.filename}: " if error.filename else ""
            say(f"error: {where}{error.strerror or error}")
    except typer.Abort:
        say("stopped")
        return 130
    return 2
