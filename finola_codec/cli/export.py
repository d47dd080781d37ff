"""finola-codec export"""

from __future__ import annotations

from pathlib import Path

import click

from finola_codec.cli import options
from finola_codec.runtime.manifest import DEFAULT_TUNE


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", metavar="models/NAME", type=click.Path(path_type=Path))
@click.option("--cache", type=click.Path(path_type=Path), help="Folder of decoded pixels; RUN/cache by default.")
@click.option("--licence", default="", help="Of the model, as an SPDX identifier; model.json and its card say it.")
@options.force
def export(run: Path, folder: Path, cache: Path | None, licence: str, force: bool) -> None:
    """Write the averaged weights of a RUN as a model that encode and decode use.

    The folder's name becomes the model's. Its frequency tables are fitted to pictures of the run's cache, none of
    them held out, where that is still there. Held-out pictures are then encoded and decoded by the model, and the model
    card says what that gives beside JPEG, WebP, AVIF and finola-base. Files that were written with a model decode only
    as long as it is kept.

    A RUN that was tuned for another metric (`train --from models/NAME --set tune=ssim`) adds its encoder to the model
    that it started from; that model's files stay as they are. One of the decoder alone (`--set part=decoder`) makes a
    model that has all else from the one that it started from.
    """
    from finola_codec.training.config import load_config
    from finola_codec.training.export import add_encoder, write_model

    config = load_config(resumed=run)
    cache = cache or run / "cache"
    if config.tune != DEFAULT_TUNE:
        done, has = add_encoder(run, folder, cache, config, force), f" has an encoder for {config.tune}"
    else:
        done, has = write_model(run, folder, cache, config, licence, force), ""
    for note in done.notes:
        click.echo(note, err=True)
    if done.table:
        click.echo(done.table)
    click.echo(f"{folder}: {done.model.name} {done.model.id.hex()}{has}, {done.step} training steps")
