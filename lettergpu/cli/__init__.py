"""The command line: what a person types and sees. A file a command; everything heavy is imported inside them."""

import sys
import warnings
from typing import Annotated, Any

import typer

from ..backends.ranks import launched
from ..errors import LettergpuError
from . import streams
from .data import data_app
from .evaluate import evaluate
from .exchange import export, import_
from .machine import bench, info
from .predict import predict, serve
from .runs import compare, runs, study, sweep
from .streams import say
from .train import train

HELP = """Train fully-connected networks to read handwritten letters. To begin with:

lettergpu train                trains on built-in letters, in a minute or two
lettergpu predict photo.jpg    reads a picture, without any training
lettergpu serve                shows a page to draw letters on
"""
EXIT_CODES = """Exit codes: 0 done; 1 nobody reads on, or a fault in lettergpu; \
2 what you can mend, told in a line; 130 stopped by Ctrl-C."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=HELP,
    epilog=EXIT_CODES,
)
for command in (predict, serve, train, evaluate, runs, compare, export, bench, study, sweep, info):
    app.command()(command)
app.command("import")(import_)
app.add_typer(data_app, name="data")


def _show_version(asked: bool) -> None:
    """Show the version and end, if asked."""
    from importlib.metadata import version

    if asked:
        print(f"lettergpu {version('lettergpu')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The options that go before a command."""


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
        said = error.format_message()  # nothing where help was shown, as no command was given
        if said and launched().rank == 0:
            say(f"error: {said} See lettergpu --help")
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
