"""finola-codec export"""

from __future__ import annotations

from pathlib import Path

import click

CALIBRATION_CROPS, CALIBRATION_SIDE = 64, 256


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", metavar="models/NAME", type=click.Path(path_type=Path))
@click.option("--cache", type=click.Path(path_type=Path), help="Folder of decoded pixels; RUN/cache by default.")
def export(run: Path, folder: Path, cache: Path | None) -> None:
    """Write the averaged weights of a RUN as a model that encode and decode use.

    The folder's name becomes the model's. Its frequency tables are fitted to pictures of the run's cache, none of
    them held out, where that is still there.
    """
    from finola_codec.nn.export import calibrate
    from finola_codec.nn.export import export as write
    from finola_codec.training.cache import INDEX
    from finola_codec.training.card import model_card
    from finola_codec.training.data import Pictures
    from finola_codec.training.loop import load_trained

    codec, step = load_trained(run)
    model = write(codec, folder, folder.name, model_card(run, folder.name, codec, step))
    cache = cache or run / "cache"
    if (cache / INDEX).exists():
        model = calibrate(model, Pictures.open(cache, held_out=40).samples(CALIBRATION_CROPS, CALIBRATION_SIDE))
    else:
        click.echo(f"{cache}: no pictures; the frequency tables are those that training assumed", err=True)
    click.echo(f"{folder}: {model.name} {model.id.hex()}, {step} training steps")
