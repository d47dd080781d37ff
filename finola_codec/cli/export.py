"""finola-codec export"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

from finola_codec.cli import options
from finola_codec.errors import FinolaError, ModelError
from finola_codec.files import check_folder
from finola_codec.runtime.manifest import MANIFEST
from finola_codec.runtime.model import DEFAULT_MODEL, Model, load_model

CALIBRATION_CROPS, CALIBRATION_SIDE = 64, 256
ANCHORS = ("jpeg", "webp", "avif")  # what the model card compares with, beside finola-base


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
    """
    from finola_codec.evaluation.codecs import FinolaCodec
    from finola_codec.nn.export import CARD, calibrate
    from finola_codec.nn.export import export as write
    from finola_codec.training.cache import INDEX
    from finola_codec.training.card import model_card
    from finola_codec.training.codec import load_trained
    from finola_codec.training.config import load_config
    from finola_codec.training.data import Pictures
    from finola_codec.training.files import COUNT, QUALITIES, SIDE, compare

    old = _model_in(folder)
    if old and not force:
        lost = f"files written with it ({old.id.hex()}) would no longer decode"
        raise FinolaError(f"{folder}: holds a model already, and {lost}; replace it with --force")
    check_folder(folder, force)
    codec, step = load_trained(run)
    name = folder.resolve().name
    with _model_folder(folder) as draft:
        model = write(codec, draft, name, model_card(run, name, codec, step, licence), licence=licence)
        cache = cache or run / "cache"
        if (cache / INDEX).exists():
            pictures = Pictures.open(cache, load_config(resumed=run).held_out)
            model = calibrate(model, pictures.samples(CALIBRATION_CROPS, CALIBRATION_SIDE))
            if held_out := pictures.held_out_samples(COUNT, SIDE):
                base = [] if name == DEFAULT_MODEL else [load_model()]
                table = compare(FinolaCodec(model, settings=QUALITIES), ANCHORS, base, held_out)
                (draft / CARD).write_text(model_card(run, name, codec, step, licence, table))
                click.echo(table)
        else:
            click.echo(f"{cache}: no pictures; the frequency tables are those that training assumed", err=True)
    if old and old.id != model.id:
        click.echo(f"{folder}: files written with the model {old.id.hex()} no longer decode with it", err=True)
    click.echo(f"{folder}: {model.name} {model.id.hex()}, {step} training steps")


def _model_in(folder: Path) -> Model | None:
    try:
        return load_model(folder.resolve())
    except ModelError:
        return None


@contextlib.contextmanager
def _model_folder(folder: Path) -> Iterator[Path]:
    """A folder to write a model into, whose files are moved to ``folder``, over an old model's, when they are whole."""
    created = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=folder) as draft:
            yield Path(draft)
            if (folder / MANIFEST).exists():
                for file in folder.glob("*.onnx"):  # a model of another family has others
                    file.unlink()
            for file in sorted(Path(draft).iterdir(), key=lambda f: f.name == MANIFEST):  # which says that it is whole
                os.replace(file, folder / file.name)
    finally:
        if created:
            with contextlib.suppress(OSError):  # it is not empty when all went well
                folder.rmdir()
