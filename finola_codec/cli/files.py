"""Where inputs come from and outputs go: one file, many, folders, standard streams."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import click

from finola_codec import files
from finola_codec.batch.folder import Batch
from finola_codec.batch.folder import run as run_all
from finola_codec.batch.work import FIN, Work
from finola_codec.errors import FinolaError, IncompleteError, naming
from finola_codec.journal import Line
from finola_codec.parallel import Engine

STREAM = "-"
STATUS_WIDTH = 60  # characters: more than any status has
WORTH_PROCESSES = 8  # files; for fewer, starting processes takes longer than they save
T = TypeVar("T")


@dataclass(frozen=True)
class How:
    """What a command does beside its work."""

    force: bool = False
    skip_existing: bool = False
    threads: int = 0
    verbose: bool = False


def run(paths: Sequence[str], out_dir: Path | None, work: Work, how: How, label: str) -> None:
    """Do a command's work: on IN and OUT, or with ``out_dir`` on files and folders.

    Raises :class:`click.UsageError` where the paths are neither, and :class:`FinolaError` where something fails.
    """
    if out_dir is not None:
        if STREAM in paths:
            raise click.UsageError("standard input cannot be combined with --out-dir")
        todo = Batch(tuple(map(Path, paths)), out_dir, work, how.force, how.skip_existing)
        run_batch(todo, Engine(processes(todo, how.threads)), how.threads, how.verbose, label)
    elif len(paths) == 2:
        work.settings()  # a wrong model is refused before any file is read
        _run_one(paths[0], paths[1], work, how)
    else:
        raise click.UsageError("give IN and OUT, or several inputs with --out-dir DIR")


def processes(batch: Batch, threads: int) -> int:
    """Return how many processes are worth starting: one for each CPU thread, if there are enough files."""
    some = sum(1 for _ in islice(batch.files(), WORTH_PROCESSES))
    return (threads or os.cpu_count() or 1) if some == WORTH_PROCESSES else 1


def run_batch(batch: Batch, engine: Engine, threads: int, verbose: bool, label: str) -> None:
    """Work on many files. One that fails is reported, and the others go on.

    Raises :class:`FinolaError` at the end if any has failed, :class:`IncompleteError` if damaged ones were salvaged.
    """
    began = time.monotonic()
    lines: list[Line] = []
    with (
        contextlib.closing(run_all(batch, engine, threads)) as done,
        progress(done, lambda: sum(1 for _ in batch.jobs()), label) as seen,
    ):
        for line in seen:
            lines.append(line)
            _report(line, batch.target, verbose)
    _summarise(batch.lines() if batch.resumable else lines, time.monotonic() - began)


def _report(line: Line, target: Path, verbose: bool) -> None:
    """Say what is wrong with a file, and what one should know, on standard error."""
    for complaint in [line["error"]] if "error" in line else line["missing"] + line["notes"]:
        click.echo(f"finola-codec: {complaint}", err=True)
    if verbose and "error" not in line:
        told = f"{line['bytes_out']:,} bytes, {_bpp([line]):.3f} bpp, {line['seconds']:.2f} s"
        click.echo(f"{Path(line['source'], line['file'])} -> {target / line['result']}: {told}", err=True)


def _summarise(lines: Sequence[Line], seconds: float) -> None:
    good = [line for line in lines if "error" not in line]
    before, after, pixels = (sum(line[key] for line in good) for key in ("bytes_in", "bytes_out", "pixels"))
    if good:
        saved = f", {100 * (1 - after / before):.1f} % saved" if before > after else ""
        count = f"{len(good)} file{'s' * (len(good) != 1)}"
        click.echo(
            f"{count}, {pixels / 1e6:.1f} megapixels, {before:,} bytes to {after:,} bytes, "
            f"{_bpp(good):.3f} bpp in .fin files{saved}, {seconds:.1f} s",
            err=True,
        )
    if failed := len(lines) - len(good):
        raise FinolaError(f"{failed} of {len(lines)} files failed")
    if damaged := sum(bool(line["missing"]) for line in good):
        raise IncompleteError(f"{damaged} of {len(lines)} files were salvaged")


def _bpp(lines: Sequence[Line]) -> float:
    """Bits per pixel of the .fin files that were written, or read."""
    size = sum(line["bytes_out" if line["result"].endswith(FIN) else "bytes_in"] for line in lines)
    return 8 * size / sum(line["pixels"] for line in lines)


def _run_one(source: str, target: str, work: Work, how: How) -> None:
    check_apart(source, target)
    if how.skip_existing and target != STREAM and Path(target).is_file():
        return
    check_target(target, how.force)
    if source != STREAM and Path(source).is_dir():
        raise FinolaError(f"{source}: is a folder; name a file, or give --out-dir")
    file = io.BytesIO(read(source)) if source == STREAM else Path(source)
    with _status():
        result = work(file, name_of(source), how.threads)
    write(target, result.data, how.force)
    for note in result.notes:
        click.echo(f"finola-codec: {note}", err=True)
    if how.verbose:
        click.echo(f"{name_of(source)} -> {target}: {len(result.data):,} bytes", err=True)
    if result.missing:
        raise IncompleteError("; ".join(result.missing))


@contextlib.contextmanager
def _status() -> Iterator[None]:
    """On a terminal, show how far a search or a refinement is, in one line that is empty again afterwards."""
    if not sys.stderr.isatty():
        yield
        return
    logger, handler = logging.getLogger("finola_codec"), logging.StreamHandler()
    handler.terminator = ""
    handler.setFormatter(logging.Formatter(f"\r%(message)-{STATUS_WIDTH}s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        click.echo("\r" + " " * STATUS_WIDTH + "\r", nl=False, err=True)


def check_apart(source: str, target: str) -> None:
    """Refuse to write over the input, whatever it is called there."""
    files.check_apart([_place(target, 1)], [_place(source, 0)])


def _place(path: str, stream: int) -> Path | int:
    return stream if path == STREAM else Path(path)


@contextlib.contextmanager
def progress(done: Iterator[T], total: Callable[[], int], label: str) -> Iterator[Iterator[T]]:
    """The same items, and on a terminal a bar of how many of the ``total`` there have been."""
    if not sys.stderr.isatty():
        yield done
        return
    with click.progressbar(done, total(), label=label, file=sys.stderr, show_pos=True) as bar:
        yield iter(bar)


def name_of(source: str) -> str:
    """Return how an input is called in messages."""
    return "standard input" if source == STREAM else source


def read(source: str) -> bytes:
    """Return the bytes of a file or of standard input. Raises :class:`FinolaError` where there is none."""
    with naming(name_of(source)):
        if source != STREAM:
            return files.read(Path(source))
        try:
            return sys.stdin.buffer.read()
        except OSError as error:
            raise FinolaError(error.strerror) from error


def check_target(target: str, force: bool) -> None:
    """Refuse, before any work is done, what :func:`write` could not do, or must not do without ``force``."""
    if target != STREAM:
        files.check_target(Path(target), force)
        if not Path(target).parent.is_dir():
            raise FinolaError(f"{Path(target).parent}: no such folder")
    elif sys.stdout.isatty():
        raise FinolaError("standard output is a terminal; redirect it, or name a file")


def write(target: str, data: bytes, force: bool) -> None:
    """Write a file whole or not at all, or to standard output.

    Raises :class:`FinolaError` for a file, :class:`OSError` for standard output.
    """
    if target == STREAM:
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, "standard output") from error
        return
    try:
        files.write_whole(Path(target), data, force)
    except OSError as error:
        raise FinolaError(f"{target}: {error.strerror}") from error
