"""From a run to a model's folder: its files, tables fitted to pictures, and a card that says what they are worth."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finola_codec.errors import FinolaError, ModelError
from finola_codec.evaluation.codecs import FinolaCodec
from finola_codec.files import check_folder
from finola_codec.nn.export import CARD, calibrate, export
from finola_codec.nn.parts import add_tuned, replace_decoder
from finola_codec.runtime.manifest import MANIFEST, Tune
from finola_codec.runtime.model import DEFAULT_MODEL, Model, load_model
from finola_codec.training.cache import INDEX
from finola_codec.training.card import model_card, tuned_card
from finola_codec.training.codec import load_trained
from finola_codec.training.config import TrainConfig
from finola_codec.training.data import Pictures
from finola_codec.training.files import COUNT, EFFORT, QUALITIES, SIDE, compare

CALIBRATION_CROPS, CALIBRATION_SIDE = 64, 256
ANCHORS = ("jpeg", "webp", "avif")  # what the model card compares with, beside finola-base


@dataclass(frozen=True)
class Exported:
    """A model that was written, the training steps in it, what its files are worth, and what one should know."""

    model: Model
    step: int
    table: str  # in Markdown; empty where there are no pictures to measure
    notes: tuple[str, ...] = ()


def write_model(run: Path, folder: Path, cache: Path, config: TrainConfig, licence: str, force: bool) -> Exported:
    """Write the averaged weights of a ``run`` as a model into ``folder``, whose name becomes the model's.

    The frequency tables are fitted to pictures of the ``cache``, and held-out ones are coded for the model card, where
    the cache is still there. A run of the decoder alone takes all else from the model that it started from.

    Raises :class:`FinolaError` where ``folder`` holds a model, or anything else, and ``force`` is not given.
    """
    old = _model_in(folder)
    if old and not force:
        lost = f"files written with it ({old.id.hex()}) would no longer decode"
        raise FinolaError(f"{folder}: holds a model already, and {lost}; replace it with --force")
    check_folder(folder, force)
    codec, step = load_trained(run)
    name, pictures = folder.resolve().name, _pictures(cache, config)
    notes = []
    with _model_folder(folder) as draft:
        if config.part == "decoder":
            _copy(load_model(config.origin).folder, draft)
            before = (draft / CARD).read_text()
            model = replace_decoder(codec, draft, name, licence)
        else:
            before = ""
            model = export(codec, draft, name, model_card(run, name, codec, step, licence), licence=licence)
            if pictures:
                model = calibrate(model, pictures.samples(CALIBRATION_CROPS, CALIBRATION_SIDE))
            else:
                notes.append(f"{cache}: no pictures; the frequency tables are those that training assumed")
        table = _compared(model, [] if name == DEFAULT_MODEL else [load_model()], pictures)
        if table or before:
            (draft / CARD).write_text(model_card(run, name, codec, step, licence, table, before))
    if old and old.id != model.id:
        notes.append(f"{folder}: files written with the model {old.id.hex()} no longer decode with it")
    return Exported(model, step, table, tuple(notes))


def add_encoder(run: Path, folder: Path, cache: Path, config: TrainConfig, force: bool) -> Exported:
    """Add the encoder of a ``run`` that was tuned for another metric to the model in ``folder``.

    Raises :class:`FinolaError` where the model has one for that metric and ``force`` is not given, and
    :class:`ModelError` where there is no model.
    """
    if config.tune in load_model(folder.resolve()).tunes and not force:
        raise FinolaError(f"{folder}: has an encoder for {config.tune} already; replace it with --force")
    codec, step = load_trained(run)
    with _model_folder(folder) as draft:
        _copy(folder, draft)
        model = add_tuned(codec, draft, config.tune)
        table = _compared(model, [model], _pictures(cache, config), config.tune)
        (draft / CARD).write_text(tuned_card((draft / CARD).read_text(), run, config.tune, step, table))
    return Exported(model, step, table)


def _copy(folder: Path, draft: Path) -> None:
    for file in folder.iterdir():
        if file.is_file():
            shutil.copy(file, draft)


def _pictures(cache: Path, config: TrainConfig) -> Pictures | None:
    return Pictures.open(cache, config.held_out) if (cache / INDEX).exists() else None


def _compared(model: Model, others: list[Model], pictures: Pictures | None, tune: Tune = "psnr") -> str:
    """Return a table of what files of held-out pictures are worth; empty where there are none."""
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
