"""The command line: a thin client of the Python API, one module a command."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from finola_codec import __version__
from finola_codec.errors import FinolaError

SAME = ("batch", "compare", "decode", "encode", "export", "info", "paper", "train", "web")
COMMANDS = {name: name for name in SAME} | {"eval": "evaluate"}  # to the module and the function in it


class _Commands(click.Group):
    """Turns complaints about input, and about the disk, into one line on standard error and exit code 2.

    A command's module is imported when it is wanted: decoding a picture should not wait for what training needs.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        function = COMMANDS[name]
        return getattr(import_module(f"finola_codec.cli.{function}"), function)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FinolaError as error:
            _fail(str(error), error.exit_code)
        except BrokenPipeError:
            sys.stdout = None  # nothing more can be written there, and Python would try again at exit
            _fail("standard output was closed before everything was written")
        except OSError as error:
            _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error))
        except ModuleNotFoundError as error:
            _fail(f"this command needs {error.name}: pip install 'finola-codec[train,eval]'")


def _fail(message: str, code: int = 2) -> None:
    click.echo(f"finola-codec: {message}", err=True)
    sys.exit(code)


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="finola-codec")
def main() -> None:
    """A learned image codec: encode pictures as .fin files, decode them, train it on pictures of your own."""
