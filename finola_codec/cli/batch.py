"""finola-codec batch"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from finola_codec.cli import options
from finola_codec.errors import FinolaError
from finola_codec.runtime.model import DEFAULT_MODEL


@click.command()
@click.argument("direction", type=click.Choice(["encode", "decode"]))
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="To encode with.")
@click.option("--quality", type=click.IntRange(1, 100), default=50, show_default=True)
@options.effort
@click.option("--retry-failed", is_flag=True, help="Work again on files that failed.")
@options.engine
def batch(
    direction: str,
    source: Path,
    target: Path,
    model: str,
    quality: int,
    effort: int,
    retry_failed: bool,
    workers: int,
    engine: str,
    address: str,
) -> None:
    """Encode or decode every picture in and below the folder SRC into DST, however many there are.

    DST/manifest.jsonl lists what was done; the same command goes on where an interrupted one stopped.
    """
    from finola_codec.batch import Batch, manifest, run
    from finola_codec.parallel import Engine

    work = Batch(source, target, direction == "decode", model, quality, effort)
    lines = run(work, Engine(workers, engine == "ray", address), retry_failed)
    if sys.stderr.isatty():
        todo = max(0, sum(1 for _ in work.files()) - len(manifest(target)))
        with click.progressbar(lines, todo, label=f"{direction} ", file=sys.stderr, show_pos=True) as bar:
            done = list(bar)
    else:
        done = list(lines)
    for line in done:
        if "error" in line:
            click.echo(f"finola-codec: {line['file']}: {line['error']}", err=True)
    _summarise(list(manifest(target).values()))


def _summarise(lines: list[dict]) -> None:
    good = [line for line in lines if "error" not in line]
    before, after = (sum(line[key] for line in good) for key in ("bytes_in", "bytes_out"))
    change = f", {100 * (1 - after / before):.1f} % saved" if before > after else ""
    click.echo(f"{len(good)} files, {before} bytes to {after} bytes{change}")
    if failed := len(lines) - len(good):
        raise FinolaError(f"{failed} of {len(lines)} files failed; they are listed in the manifest")
