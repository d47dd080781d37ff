"""finola-codec export"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from finola_codec.cli import options
from finola_codec.errors import FinolaError, ModelError
from finola_codec.files import check_folder
from finola_codec.runtime.manifest import DEFAULT_TUNE, MANIFEST, Tune
from finola_codec.runtime.model import DEFAULT_MODEL, Model, load_model

if TYPE_CHECKING:
    from finola_codec.training.config import TrainConfig
    from finola_codec.training.data import Pictures

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

    A RUN that was tuned for another metric (`train --from models/NAME --set tune=ssim`) adds its encoder to the model
    that it started from; that model's files stay as they are. One of the decoder alone (`--set part=decoder`) makes a
    model that has all else from the one that it started from.
    """
    from finola_codec.training.config import load_config

    config = load_config(resumed=run)
    cache = cache or run / "cache"
    if config.tune != DEFAULT_TUNE:
        _add(run, folder, cache, config, force)
    else:
        _write(run, folder, cache, config, licence, force)


def _write(run: Path, folder: Path, cache: Path, config: TrainConfig, licence: str, force: bool) -> None:
    """Write a whole model."""
    from finola_codec.nn.export import CARD, calibrate
    from finola_codec.nn.export import export as write
    from finola_codec.nn.parts import replace_decoder
    from finola_codec.training.card import model_card
    from finola_codec.training.codec import load_trained

    old = _model_in(folder)
    if old and not force:
        lost = f"files written with it ({old.id.hex()}) would no longer decode"
        raise FinolaError(f"{folder}: holds a model already, and {lost}; replace it with --force")
    check_folder(folder, force)
    codec, step = load_trained(run)
    name = folder.resolve().name
    pictures = _pictures(cache, config)
    with _model_folder(folder) as draft:
        if config.part == "decoder":
            _copy(load_model(config.origin).folder, draft)
            before = (draft / CARD).read_text()
            model = replace_decoder(codec, draft, name, licence)
        else:
            before = ""
            model = write(codec, draft, name, model_card(run, name, codec, step, licence), licence=licence)
            if pictures:
                model = calibrate(model, pictures.samples(CALIBRATION_CROPS, CALIBRATION_SIDE))
            else:
                click.echo(f"{cache}: no pictures; the frequency tables are those that training assumed", err=True)
        base = [] if name == DEFAULT_MODEL else [load_model()]
        table = _compared(model, base, pictures)
        if table:
            click.echo(table)
        if table or before:
            (draft / CARD).write_text(model_card(run, name, codec, step, licence, table, before))
    if old and old.id != model.id:
        click.echo(f"{folder}: files written with the model {old.id.hex()} no longer decode with it", err=True)
    click.echo(f"{folder}: {model.name} {model.id.hex()}, {step} training steps")


def _add(run: Path, folder: Path, cache: Path, config: TrainConfig, force: bool) -> None:
    """Add an encoder to a model that is there."""
    from finola_codec.nn.export import CARD
    from finola_codec.nn.parts import add_tuned
    from finola_codec.training.card import tuned_card
    from finola_codec.training.codec import load_trained

    if config.tune in load_model(folder.resolve()).tunes and not force:
        raise FinolaError(f"{folder}: has an encoder for {config.tune} already; replace it with --force")
    codec, step = load_trained(run)
    with _model_folder(folder) as draft:
        _copy(folder, draft)
        model = add_tuned(codec, draft, config.tune)
        pictures = _pictures(cache, config)
        table = _compared(model, [model], pictures, config.tune)
        (draft / CARD).write_text(tuned_card((draft / CARD).read_text(), run, config.tune, step, table))
        if table:
            click.echo(table)
    click.echo(f"{folder}: {model.name} {model.id.hex()} has an encoder for {config.tune}, {step} training steps")


def _copy(folder: Path, draft: Path) -> None:
    for file in folder.iterdir():
        if file.is_file():
            shutil.copy(file, draft)


def _pictures(cache: Path, config: TrainConfig) -> Pictures | None:
    from finola_codec.training.cache import INDEX
    from finola_codec.training.data import Pictures

    return Pictures.open(cache, config.held_out) if (cache / INDEX).exists() else None


def _compared(model: Model, others: list[Model], pictures: Pictures | None, tune: Tune = "psnr") -> str:
    """Return a table of what files of held-out pictures are worth; empty where there are none."""
    from finola_codec.evaluation.codecs import FinolaCodec
    from finola_codec.training.files import COUNT, EFFORT, QUALITIES, SIDE, compare

    held_out = pictures.held_out_samples(COUNT, SIDE) if pictures else []
    codec = FinolaCodec(model, EFFORT, QUALITIES, tune)
    return compare(codec, ANCHORS, others, held_out) if held_out else ""


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
