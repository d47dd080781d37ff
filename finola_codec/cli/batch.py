"""finola-codec batch"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from finola_codec.batch import Batch
from finola_codec.batch.work import Decoding, Encoding, Work
from finola_codec.cli import files, options
from finola_codec.parallel import Engine


@click.group()
def batch() -> None:
    """Encode or decode every picture in and below a folder, however many there are.

    DST/manifest.jsonl lists what was done. The same command goes on where an interrupted one stopped; it does again
    what has changed, what is missing, and what is wanted with other options.
    """


def _folders(command: options.Command) -> options.Command:
    folder = click.Path(path_type=Path)
    return options.added(
        command,
        click.argument("source", metavar="SRC", type=folder),
        click.argument("target", metavar="DST", type=folder),
        click.option("--force", is_flag=True, help="Overwrite files that batch did not write, or that were changed."),
        options.skip_existing,
        click.option("--retry-failed", is_flag=True, help="Work again on files that failed."),
        options.engine(None, "as many as CPU threads, for 8 files or more"),
        options.threads,
        options.verbose,
    )


@batch.command()
@_folders
@options.encoding
def encode(work: Encoding, **given: Any) -> None:
    """Encode the pictures in SRC as .fin files in DST."""
    _run(work, "Encoding", **given)


@batch.command()
@_folders
@options.decoding
def decode(work: Decoding, **given: Any) -> None:
    """Decode the .fin files in SRC as pictures in DST."""
    _run(work, "Decoding", **given)


def _run(
    work: Work,
    label: str,
    source: Path,
    target: Path,
    force: bool,
    skip_existing: bool,
    retry_failed: bool,
    workers: int | None,
    engine: str,
    address: str,
    threads: int,
    verbose: bool,
) -> None:
    todo = Batch((source,), target, work, force, skip_existing, resumable=True, retry_failed=retry_failed)
    processes = workers or files.processes(todo, threads)
    files.run_batch(todo, Engine(processes, engine == "ray", address), threads, verbose, label)
