"""finola-codec decode"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from finola_codec.batch.work import Decoding
from finola_codec.cli import files, options


@click.command()
@options.paths
@options.out_dir
@options.decoding
@options.force
@options.skip_existing
@options.threads
@options.verbose
def decode(
    paths: tuple[str, ...],
    out_dir: Path | None,
    work: Decoding,
    force: bool,
    skip_existing: bool,
    threads: int,
    verbose: bool,
) -> None:
    """Decode .fin files.

    OUT's suffix says the format, which may be any that Pillow writes; - is standard output. With --out-dir, any number
    of files and folders; a.fin becomes a.png.
    """
    if out_dir is None and paths[-1] != files.STREAM:
        work = replace(work, suffix=Path(paths[-1]).suffix)
    files.run(paths, out_dir, work, files.How(force, skip_existing, threads, verbose), "Decoding")
