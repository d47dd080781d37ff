"""The command line: a thin client of the Python API, one module a command."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click

from finola_codec import __version__
from finola_codec.errors import FinolaError, how_to_install, told

SAME = (
    "batch",
    "compare",
    "decode",
    "encode",
    "export",
    "info",
    "models",
    "pack",
    "paper",
    "pretrain",
    "probe",
    "train",
    "web",
)
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

    def main(self, *arguments: Any, **options: Any) -> Any:
        _reopen_closed_streams()
        with _ending_on_sigterm(), _complaining():  # printing the help may fail as well
            return super().main(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _complaining():
            return super().invoke(ctx)


@contextlib.contextmanager
def _complaining() -> Iterator[None]:
    try:
        yield
    except FinolaError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", 128 + signal.SIGINT)
    except BrokenPipeError:
        sys.stdout = None  # nothing more can be written there, and Python would try again at exit
        _fail("standard output was closed before everything was written")
    except OSError as error:
        _fail(told(error))
    except ModuleNotFoundError as error:
        _fail(f"this command needs {error.name}: {how_to_install('train,eval')}")


@contextlib.contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Makes SIGTERM an exception like that of Ctrl-C, so that what was begun is cleaned up."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _reopen_closed_streams() -> None:
    """Gives streams that a shell has closed (>&-) something to fail on, and to standard error to swallow messages.

    It also keeps the next file that is opened from getting the number of a stream that libraries write to.
    """
    for number, name, flags in ((0, "stdin", os.O_WRONLY), (1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, flags)  # standard input can only be written, standard output only be read
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            file = io.FileIO(number, "w" if number else "r", closefd=False)  # nothing is held back, to fail at exit
            setattr(sys, name, io.TextIOWrapper(file, errors="backslashreplace", write_through=True))


def _fail(message: str, code: int = 2) -> None:
    click.echo(f"finola-codec: {message}", err=True)
    sys.exit(code)


@click.group(cls=_Commands)
@click.version_option(__version__, prog_name="finola-codec")
def main() -> None:
    """A learned image codec: encode pictures as .fin files, decode them, train it on pictures of your own."""
