"""finola-codec pack"""

from __future__ import annotations

from pathlib import Path

import click

from finola_codec.cli import options


@click.command()
@click.argument("pictures", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--megabytes", type=options.POSITIVE, default=32.0, show_default=True, help="The most that a part takes.")
def pack(pictures: Path, folder: Path, megabytes: float) -> None:
    """Copy the pictures in a folder into parts, FOLDER/1, FOLDER/2, ..., for a machine that takes so much at a time.

    Each part has pictures of every folder. Parts that are copied over each other are all of PICTURES again.
    """
    from finola_codec.training.pack import pack as into_parts

    for part in into_parts(pictures, folder, int(megabytes * 1e6)):
        click.echo(part)
