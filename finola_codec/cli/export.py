"""finola-codec export"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", metavar="models/NAME", type=click.Path(path_type=Path))
def export(run: Path, folder: Path) -> None:
    """Write the averaged weights of a RUN as a model that encode and decode use.

    The folder's name becomes the model's.
    """
    from finola_codec.nn.export import export as write
    from finola_codec.training.card import model_card
    from finola_codec.training.loop import load_trained

    codec, step = load_trained(run)
    model = write(codec, folder, folder.name, model_card(run, folder.name, codec, step))
    click.echo(f"{folder}: {model.name} {model.id.hex()}, {step} training steps")
