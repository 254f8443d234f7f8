"""The command line: what a person types and sees. A file a command; everything heavy is imported inside them."""

import sys
import warnings
from typing import Any

import typer

from ..errors import LettergpuError
from .data import data_app
from .evaluate import evaluate
from .machine import bench, info
from .predict import predict, serve
from .study import study
from .train import train

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train fully-connected networks to recognise handwritten letters.",
)
for command in (predict, serve, train, evaluate, bench, study, info):
    app.command()(command)
app.add_typer(data_app, name="data")

UsageError: Any = typer.BadParameter.__bases__[0]  # that of all that can be wrong with a command line


def main() -> None:
    """Run the command line; what a user can cause ends in one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    warnings.showwarning = lambda message, *_: typer.echo(f"warning: {message}", err=True)
    try:
        sys.exit(app(standalone_mode=False))
    except LettergpuError as error:
        typer.echo(f"error: {error}", err=True)
    except UsageError as error:
        typer.echo(f"error: {error.format_message()} See lettergpu --help", err=True)
    except MemoryError as error:
        from ..backends.device import shortage

        typer.echo(f"error: not enough memory: {shortage(error)}; try a smaller --batch-size or --hidden", err=True)
    except typer.Abort:
        typer.echo("stopped", err=True)
        sys.exit(130)
    sys.exit(2)
