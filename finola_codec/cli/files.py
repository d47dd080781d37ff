"""Where inputs come from and outputs go: one file, many, folders, standard streams."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from finola_codec import files
from finola_codec.errors import FinolaError

STREAM = "-"
WORTH_PROCESSES = 8  # files; for fewer, starting processes takes longer than they save
Job = tuple[str, str]  # input and output: paths, or STREAM
Work = Callable[[Job, int], None]
T = TypeVar("T")


def jobs(paths: Sequence[str], out_dir: Path | None, suffix: str, accepted: Callable[[], Collection[str]]) -> list[Job]:
    """What to read and where to write it, from a command's arguments.

    Without ``out_dir`` the arguments are IN and OUT. With it they are files and folders; a folder stands for
    the files in and below it with an ``accepted`` suffix, and keeps its structure.
    """
    if out_dir is None:
        if len(paths) != 2:
            raise click.UsageError("give IN and OUT, or several inputs with --out-dir DIR")
        found = [(paths[0], paths[1])]
    else:
        found = _into(out_dir, paths, suffix, accepted)
    check_apart(found)
    return found


def check_apart(found: Sequence[Job]) -> None:
    """Refuse jobs that would write the same file, or over an input of one of them, whatever it is called there."""
    writers: dict[str, str] = {}
    for source, target in found:
        file = os.path.realpath(target)
        if file in writers:
            raise FinolaError(f"{writers[file]} and {source} would both become {target}")
        writers[file] = source
    files.check_apart([_place(target, 1) for _, target in found], [_place(source, 0) for source, _ in found])


def _into(out_dir: Path, paths: Sequence[str], suffix: str, accepted: Callable[[], Collection[str]]) -> list[Job]:
    found: list[Job] = []
    for path in map(Path, paths):
        if str(path) == STREAM:
            raise click.UsageError("standard input cannot be combined with --out-dir")
        inputs = _below(path, accepted()) if path.is_dir() else [path]
        root = path if path.is_dir() else path.parent
        found += [(str(f), str(out_dir / f.relative_to(root).with_suffix(suffix))) for f in inputs]
    return found


def _place(path: str, stream: int) -> Path | int:
    return stream if path == STREAM else Path(path)


def _below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    inputs = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes and p.is_file())
    if not inputs:
        raise FinolaError(f"{folder}: holds no file to work on")
    return inputs


def run(found: list[Job], work: Work, threads: int, label: str) -> None:
    """Do every job. With several, one that fails is reported, the others go on, and the exit code is 2.

    ``work`` gets a job and the CPU threads that it may use, and must pickle: many jobs are done by a process for each
    core, of one thread each, which is faster than one job after the other on all cores.
    """
    if len(found) == 1:
        work(found[0], threads)
        return
    from finola_codec.parallel import Engine  # one picture does not wait for multiprocessing

    workers = (threads or os.cpu_count() or 1) if len(found) >= WORTH_PROCESSES else 1
    engine = Engine(workers)
    failed = 0
    with (
        contextlib.closing(engine.map(partial(_attempt, work, engine.threads or threads), found)) as done,
        progress(done, lambda: len(found), label) as errors,
    ):
        for error in filter(None, errors):
            failed += 1
            click.echo(f"finola-codec: {error}", err=True)
    if failed:
        raise FinolaError(f"{failed} of {len(found)} files failed")


def _attempt(work: Work, threads: int, job: Job) -> str | None:
    try:
        work(job, threads)
    except (FinolaError, OSError) as error:
        return str(error)
    return None


@contextlib.contextmanager
def progress(done: Iterator[T], total: Callable[[], int], label: str) -> Iterator[Iterator[T]]:
    """The same items, and on a terminal a bar of how many of the ``total`` there have been."""
    if not sys.stderr.isatty():
        yield done
        return
    with click.progressbar(done, total(), label=label, file=sys.stderr, show_pos=True) as bar:
        yield iter(bar)


def name_of(source: str) -> str:
    """How an input is called in messages."""
    return "standard input" if source == STREAM else source


@contextlib.contextmanager
def naming(source: str) -> Iterator[None]:
    """Put the name of an input before what is wrong with it."""
    try:
        yield
    except FinolaError as error:
        raise type(error)(f"{name_of(source)}: {error}") from error


def read(source: str) -> bytes:
    """The bytes of a file or of standard input. Raises :class:`FinolaError` where there is none."""
    try:
        return sys.stdin.buffer.read() if source == STREAM else Path(source).read_bytes()
    except FileNotFoundError as error:
        raise FinolaError(f"{source}: no such file") from error
    except OSError as error:
        raise FinolaError(f"{name_of(source)}: {error.strerror}") from error


def check_target(target: str, force: bool) -> None:
    """Refuse, before any work is done, to overwrite a file without ``force``."""
    if target != STREAM:
        files.check_target(Path(target), force)


def write(target: str, data: bytes, force: bool, make_folder: bool) -> None:
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
    path = Path(target)
    if make_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.parent.is_dir():
        raise FinolaError(f"{path.parent}: no such folder")
    try:
        files.write_whole(path, data, force)
    except OSError as error:
        raise FinolaError(f"{target}: {error.strerror}") from error
