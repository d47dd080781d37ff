"""finola-codec encode"""

from __future__ import annotations

from pathlib import Path

import click

from finola_codec.batch.work import FIN, Encoding
from finola_codec.cli import files, options
from finola_codec.errors import FinolaError
from finola_codec.formats import SUFFIXES


@click.command()
@options.paths
@options.out_dir
@options.encoding
@options.force
@options.skip_existing
@options.threads
@options.verbose
def encode(
    paths: tuple[str, ...],
    out_dir: Path | None,
    work: Encoding,
    force: bool,
    skip_existing: bool,
    threads: int,
    verbose: bool,
) -> None:
    """Encode pictures as .fin files.

    IN is a picture in any format that Pillow reads, or - for standard input; OUT a file, or - for standard
    output. With --out-dir, any number of pictures and folders; a.png becomes a.fin.
    """
    if out_dir is None and len(paths) == 2 and Path(paths[1]).suffix.lower() in SUFFIXES:
        raise FinolaError(f"{paths[1]}: has the suffix of another format; what encode writes is called {FIN}")
    how = files.How(force, skip_existing, threads, verbose)
    files.run(paths, out_dir, work, how, "Encoding")
