"""The command line: a thin client of the Python API, one module a command."""

from __future__ import annotations

import sys
from typing import Any

import click

from finola_codec import __version__
from finola_codec.cli.batch import batch
from finola_codec.cli.compare import compare
from finola_codec.cli.decode import decode
from finola_codec.cli.encode import encode
from finola_codec.cli.eval import evaluate
from finola_codec.cli.export import export
from finola_codec.cli.info import info
from finola_codec.cli.paper import paper
from finola_codec.cli.train import train
from finola_codec.errors import FinolaError


class _Commands(click.Group):
    """Turns complaints about input, and about the disk, into one line on standard error and exit code 2."""

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


for _command in (encode, decode, info, train, export, evaluate, compare, batch, paper):
    main.add_command(_command)
