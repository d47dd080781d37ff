"""What a codec's runs train, start from and measure."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from finola_codec import Model, encode, fingerprint, info, quality
from finola_codec.entropy import fixed
from finola_codec.errors import ConfigError
from finola_codec.nn.model import Codec
from finola_codec.nn.restore import restore
from finola_codec.profiles import FINOLA_TINY
from finola_codec.training.codec import start
from finola_codec.training.coder import code_crops
from finola_codec.training.config import MS_SSIM_CROP
from finola_codec.training.data import Pictures
from finola_codec.training.files import HeldOut
from finola_codec.training.loop import Trainer
from tests.training.conftest import CONFIG


@pytest.mark.slow
def test_training_lowers_the_loss(pictures: Pictures, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=300, cooldown=0.3, batch=4, lr=3e-3, ema=0.9, validate_every=300)
    trainer = start(config, tmp_path / "run", pictures, resume=False)
    before = trainer.validate()[0]["loss"]  # at a low quality, where the tiny codec's few channels suffice
    trainer.train()
    assert trainer.validate()[0]["loss"] < 0.97 * before


def test_a_validation_measures_real_files(pictures: Pictures, tiny_model: Model, tmp_path: Path) -> None:
    """Against the model that the run starts from, by files that another implementation of the transforms reads."""
    config = replace(CONFIG, origin=str(tiny_model.folder))
    codec = restore(tiny_model.folder)
    start(config, tmp_path / "run", pictures, init=codec).train(max_steps=3)
    rows = list(csv.DictReader((tmp_path / "run" / "files.csv").open()))
    assert {row["step"] for row in rows} == {"3"}
    assert len(list((tmp_path / "run" / "strips").glob("*.png"))) == 1
    held_out = HeldOut(pictures.held_out_samples(1, 64), tiny_model, others=())
    found = held_out.check(codec)
    for ours, theirs in zip(found.records, held_out.records, strict=True):
        assert ours["bpp"] == pytest.approx(theirs["bpp"], rel=0.02)
        assert ours["psnr"] == pytest.approx(theirs["psnr"], abs=0.1)
    assert abs(found.bd_rates[f"{tiny_model.name}, effort 1"]) < 2


def test_more_residual_blocks_start_as_the_identity(pictures: Pictures, tmp_path: Path) -> None:
    old = start(CONFIG, tmp_path / "old", pictures)
    deeper = replace(FINOLA_TINY, decoder_depth=2, encoder_depths=(1, 2, 2), refine_depth=2)
    new = start(replace(CONFIG, profile=deeper), tmp_path / "new", pictures, init=old.ema)
    assert [r["loss"] for r in new.validate()] == pytest.approx([r["loss"] for r in old.validate()], rel=1e-3)
    with pytest.raises(ConfigError, match="other sizes"):
        start(replace(CONFIG, profile=replace(FINOLA_TINY, decoder_width=32)), tmp_path / "x", pictures, init=old.ema)


def moved(trainer: Trainer, before: Codec) -> set[str]:
    """The names of the parameters that training has changed."""
    now = trainer.model.module.named_parameters()
    return {name for name, value in now if not torch.equal(value, before.get_parameter(name))}


def test_a_tuned_run_trains_its_part_of_the_encoder_alone(
    pictures: Pictures, tiny_model: Model, tmp_path: Path
) -> None:
    before = restore(tiny_model.folder)
    config = replace(CONFIG, tune="ssim", crop=MS_SSIM_CROP, steps=2, validate_every=2, warmup=0.0)
    trainer = start(config, tmp_path / "run", pictures, init=restore(tiny_model.folder))
    trainer.train()
    own = {id(p) for part in trainer.model.module.tuned() for p in part.parameters()}
    tuned = {name for name, value in trainer.model.module.named_parameters() if id(value) in own}
    assert moved(trainer, before) == tuned
    with pytest.raises(ConfigError, match="tune=ssim trains a part of a model's encoder: name the model with --from"):
        start(config, tmp_path / "other", pictures)
    with pytest.raises(ConfigError, match="crop is 64; it must be at least 176 for MS-SSIM"):
        replace(config, crop=64)


def test_a_run_of_the_decoder_trains_it_alone(pictures: Pictures, tiny_model: Model, tmp_path: Path) -> None:
    before = restore(tiny_model.folder)
    config = replace(CONFIG, part="decoder", origin=str(tiny_model.folder), steps=2, validate_every=2, warmup=0.0)
    trainer = start(config, tmp_path / "run", pictures, init=restore(tiny_model.folder))
    trainer.train()
    parts = {name.partition(".")[0] for name in moved(trainer, before)}
    assert parts == {"decoder"}
    assert torch.equal(trainer.model.module.decoder.lapped.weight, before.get_parameter("decoder.lapped.weight"))
    with pytest.raises(ConfigError, match="part=decoder trains the decoder of a model: name the model with --from"):
        start(replace(config, origin=""), tmp_path / "other", pictures)
    with pytest.raises(ConfigError, match="part is decoder; it must be all where tune is not psnr"):
        replace(config, tune="ssim", crop=MS_SSIM_CROP)


def test_crops_are_coded_as_encoding_codes_them(pictures: Pictures, tiny_model: Model) -> None:
    x = pictures.held_out_crops(64)
    coded, position = code_crops(tiny_model, x, torch.tensor([0.3001]))
    assert position.tolist() == pytest.approx([quality.position(31)])
    data = encode(Image.fromarray(pictures.held_out_samples(1, 64)[0]), 31, model=tiny_model, layer="off")
    chunks = info(data).chunks
    assert coded.bits.tolist() == [8 * (chunks["hyper vectors"] + chunks["vectors"])]
    given = coded.y[0].permute(1, 2, 0).numpy() * fixed.ONE
    assert hashlib.sha256(given.astype("<i4").tobytes()).hexdigest() == fingerprint(data, model=tiny_model)
