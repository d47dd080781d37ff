"""finola-codec batch"""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from finola_codec.cli import files, options
from finola_codec.errors import FinolaError


@click.command()
@click.argument("direction", type=click.Choice(["encode", "decode"]))
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
@click.option("--model", help="A model's name or folder; by default finola-base, or the one that each .fin file names.")
@click.option("--quality", type=click.IntRange(1, 100), default=50, show_default=True)
@options.effort
@click.option("--retry-failed", is_flag=True, help="Work again on files that failed.")
@click.option(
    "--force", is_flag=True, help="Overwrite files that batch did not write itself, or that were changed since."
)
@options.engine
def batch(
    direction: str,
    source: Path,
    target: Path,
    model: str | None,
    quality: int,
    effort: int,
    retry_failed: bool,
    force: bool,
    workers: int,
    engine: str,
    address: str,
) -> None:
    """Encode or decode every picture in and below the folder SRC into DST, however many there are.

    DST/manifest.jsonl lists what was done. The same command goes on where an interrupted one stopped; it does again
    what has changed, what is missing, and what is wanted with another model, quality or effort.
    """
    from finola_codec.batch import Batch, lines, run
    from finola_codec.parallel import Engine

    work = Batch(source, target, direction == "decode", model, quality, effort, retry_failed, force)
    with (
        contextlib.closing(run(work, Engine(workers, engine == "ray", address))) as done,
        files.progress(done, lambda: sum(1 for _ in work.jobs()), f"{direction} ") as seen,
    ):
        errors = [line for line in seen if "error" in line]
    for line in errors:
        click.echo(f"finola-codec: {line['file']}: {line['error']}", err=True)
    _summarise(lines(work))


def _summarise(lines: list[dict]) -> None:
    good = [line for line in lines if "error" not in line]
    before, after = (sum(line[key] for line in good) for key in ("bytes_in", "bytes_out"))
    change = f", {100 * (1 - after / before):.1f} % saved" if before > after else ""
    click.echo(f"{len(good)} files, {before} bytes to {after} bytes{change}")
    if failed := len(lines) - len(good):
        raise FinolaError(f"{failed} of {len(lines)} files failed; they are listed in the manifest")
