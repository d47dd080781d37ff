"""Parts that are trained alone: encoders for other metrics, in front of the same decoder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from finola_codec import Model, decode, encode, load_model
from finola_codec.errors import ConfigError, ModelError
from finola_codec.nn.live import LiveModel
from finola_codec.nn.model import Codec
from finola_codec.nn.parts import add_tuned, replace_decoder, train_tuned_only
from finola_codec.nn.restore import restore
from finola_codec.runtime.manifest import GRADIENTS, Manifest, encoding_hash


def changed(codec: Codec, by: float = 0.02) -> Codec:
    """Stands for training: moves what is tuned."""
    torch.manual_seed(3)
    with torch.no_grad():
        for part in codec.tuned():
            for parameter in part.parameters():
                parameter.add_(torch.randn_like(parameter) * by)
    return codec


@pytest.fixture(scope="module")
def tuned(tiny_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("tuned") / "model"
    shutil.copytree(tiny_model.folder, folder)
    return add_tuned(changed(restore(folder)), folder, "ssim")


def test_files_of_a_tuned_encoder_are_those_of_the_model(tuned: Model, tiny_model: Model, photo: Image.Image) -> None:
    assert (tiny_model.tunes, tuned.tunes) == (("psnr",), ("psnr", "ssim"))
    assert tuned.id == tiny_model.id
    usual, other = (encode(photo, model=tuned, tune=tune) for tune in tuned.tunes)
    assert usual == encode(photo, model=tiny_model)
    assert other != usual
    assert np.array_equal(decode(other, model=tiny_model), decode(other, model=tuned))


def test_the_whole_encoder_is_tuned_but_its_shortcut(tuned: Model, tiny_model: Model, photo: Image.Image) -> None:
    pixels = np.asarray(photo)
    usual = restore(tiny_model.folder)
    shortcut = usual.encoder.get_parameter("lapped.weight").clone()
    live = LiveModel(changed(usual))  # in torch, whose usual encoder is now the tuned one
    expected = live.transforms.analyse(pixels, 50)
    moved = np.abs(tiny_model.transforms.analyse(pixels, 50) - expected).max()
    # What is left is the weights' storage in half precision.
    assert np.abs(tuned.transforms.analyse(pixels, 50, "ssim") - expected).max() < 0.05 * moved
    assert torch.equal(usual.encoder.get_parameter("lapped.weight"), shortcut)


def test_training_goes_on_from_the_usual_encoder(tuned: Model, tiny_model: Model) -> None:
    before, after = (restore(model.folder).state_dict() for model in (tiny_model, tuned))
    assert all(torch.equal(before[name], value) for name, value in after.items())


def test_results_depend_on_the_encoder_that_made_them(tuned: Model, tiny_model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model.folder, folder)
    add_tuned(changed(restore(folder), 0.01), folder, "ssim")
    assert len({encoding_hash(model, "psnr") for model in (tuned.folder, tiny_model.folder, folder)}) == 1
    assert encoding_hash(folder, "ssim") != encoding_hash(tuned.folder, "ssim")


def test_results_depend_on_whether_a_model_refines(tuned: Model, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tuned.folder, folder, ignore=shutil.ignore_patterns(*GRADIENTS))
    Manifest(tuned.name, tuned.profile, tuned.manifest.bounds).write(folder)
    for tune in tuned.tunes:
        assert encoding_hash(folder, tune) != encoding_hash(tuned.folder, tune)


def test_another_decoder_is_refused(tiny_model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model.folder, folder)
    codec = restore(folder)
    with torch.no_grad():
        codec.decoder.get_parameter("stage.blocks.0.mix.weight").mul_(1.1)
    with pytest.raises(ModelError, match=r"model: is not the model that the run started from: decoder\.stage"):
        add_tuned(codec, folder, "ssim")
    assert load_model(folder).tunes == ("psnr",)


@pytest.mark.parametrize("name", ["encoder.head.weight", "decoder.lapped.weight"])
def test_a_decoder_comes_with_the_encoder_and_the_shortcut_it_learned_from(
    tiny_model: Model, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model.folder, folder)
    codec = restore(folder)
    with torch.no_grad():
        codec.get_parameter(name).mul_(1.1)
    with pytest.raises(ModelError, match=rf"model: is not the model that the run started from: {name} differs"):
        replace_decoder(codec, folder, "other", "")
    assert load_model(folder).id == tiny_model.id


def test_what_cannot_be_tuned_says_so(tiny_model: Model, tiny_tile_codec: Codec) -> None:
    grey = Image.new("RGB", (20, 20), "grey")
    with pytest.raises(ConfigError, match=r"the model finola-tiny has no encoder for ssim, only for psnr"):
        encode(grey, model=tiny_model, tune="ssim")
    with pytest.raises(ConfigError, match=r"tune 'vmaf' is none of psnr, ssim"):
        encode(grey, model=tiny_model, tune="vmaf")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"finola-tiny-tile: no part of its encoder"):
        train_tuned_only(tiny_tile_codec)
