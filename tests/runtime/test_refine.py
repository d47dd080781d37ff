"""Refinement by gradient descent."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from finola_codec import Model, decode, encode
from finola_codec.codec import payloads
from finola_codec.entropy.fixed import ACTIVATION_BITS, quantize, to_real
from finola_codec.errors import ConfigError
from finola_codec.evaluation.metrics import ms_ssim
from finola_codec.runtime.distortion import StructuralError
from finola_codec.runtime.manifest import GRADIENTS, TUNES, Manifest, Tune
from finola_codec.runtime.model import load_model
from tests.conftest import psnr


def cost(model: Model, picture: Image.Image, effort: int, quality: int = 40) -> float:
    """bpp + lambda 255^2 MSE of a whole file."""
    data = encode(picture, quality, model=model, effort=effort)
    mse = 10 ** (-psnr(picture, decode(data, model=model)) / 10)
    return 8 * len(data) / (picture.width * picture.height) + model.lagrange_multiplier(quality) * 255**2 * mse


def test_effort_lowers_the_cost(tiny_model: Model, photo: Image.Image) -> None:
    picture = photo.crop((60, 40, 60 + 170, 40 + 130))
    costs = [cost(tiny_model, picture, effort) for effort in (0, 3, 5, 9)]
    assert costs == sorted(costs, reverse=True)
    assert costs[2] < 0.99 * costs[1]


def test_refinement_that_does_not_help_is_undone(
    tiny_model: Model, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finola_codec.runtime.refine.CURVATURE", 1e-3)  # steps that are far too long
    assert encode(photo, 40, model=tiny_model, effort=5) == encode(photo, 40, model=tiny_model, effort=3)
    part = photo.crop((60, 40, 60 + 190, 40 + 180))
    assert encode(part, 40, effort=5, tune="ssim") == encode(part, 40, effort=3, tune="ssim")


@pytest.mark.parametrize("quality", [10, 90])
def test_longer_refinement_never_costs_more(tiny_model: Model, photo: Image.Image, quality: int) -> None:
    picture = photo.crop((60, 40, 60 + 96, 40 + 80))
    short, *longer = (cost(tiny_model, picture, effort, quality) for effort in (5, 7, 8, 9, 10))
    assert max(longer) <= short * (1 + 1e-4)  # decoded pixels are rounded, which refinement leaves out of account


def test_longer_refinement_that_does_not_help_is_the_shortest(
    tiny_model: Model, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    for constant in ("AGAIN_RATE", "MOST_AGAIN", "LEAST_RATE"):
        monkeypatch.setattr(f"finola_codec.runtime.refine.{constant}", 100.0)  # steps that are far too long
    assert encode(photo, 40, model=tiny_model, effort=9) == encode(photo, 40, model=tiny_model, effort=5)
    part = photo.crop((60, 40, 60 + 96, 40 + 80))
    assert encode(part, 40, effort=9, tune="ssim") == encode(part, 40, effort=5, tune="ssim")


def test_longer_refinement_makes_files_better_not_larger() -> None:
    picture = Image.fromarray(skimage.data.astronaut()[80:272, 100:356])
    short, long = (encode(picture, 30, effort=effort) for effort in (5, 9))
    assert len(long) <= 1.04 * len(short)
    assert psnr(picture, decode(long)) > psnr(picture, decode(short)) + 0.1


def structural_cost(picture: Image.Image, effort: int, quality: int) -> float:
    """Bits, and what errors cost by the distortion for MS-SSIM, of a picture coded by finola-base."""
    model, pixels = load_model(), np.asarray(picture)
    coded = payloads(model, pixels, quality, effort, "ssim")
    found = StructuralError(model, pixels, quality, None).measure(coded.y, np.empty(coded.y.shape, np.float32))
    return 8 * len(coded.hyper + coded.vectors) + model.lagrange_multiplier(quality) * 255**2 / 3 * found.error


@pytest.mark.parametrize("quality", [15, 80])
def test_vectors_are_refined_for_ms_ssim_as_well(quality: int) -> None:
    picture = Image.fromarray(skimage.data.astronaut()[80:272, 100:324])
    usual, short, long = (structural_cost(picture, effort, quality) for effort in (3, 5, 8))
    assert short < 0.98 * usual
    assert long < short


def test_refinement_for_ms_ssim_makes_it_better_at_fewer_bits() -> None:
    pixels = skimage.data.astronaut()[80:272, 100:324]
    files = {effort: encode(Image.fromarray(pixels), 40, effort=effort, tune="ssim") for effort in (3, 9)}
    similar = {effort: ms_ssim(pixels, np.asarray(decode(data))) for effort, data in files.items()}
    larger = encode(Image.fromarray(pixels), 44, effort=3, tune="ssim")
    assert len(files[9]) < len(larger)
    assert similar[9] > ms_ssim(pixels, np.asarray(decode(larger)))


def test_the_last_step_for_ms_ssim_is_undone_where_it_costs_more() -> None:
    picture = Image.fromarray(skimage.data.astronaut()[110:158, 115:163])  # without that it costs 23 % more
    assert structural_cost(picture, 5, 35) <= structural_cost(picture, 3, 35)


@pytest.mark.parametrize("size", [(10, 300), (40, 11)])  # too small, and just large enough for one scale
def test_small_pictures_are_refined_for_ms_ssim_too(size: tuple[int, int]) -> None:
    picture = Image.fromarray(skimage.data.astronaut()).resize(size)
    refined = encode(picture, 60, effort=9, tune="ssim")
    assert refined != encode(picture, 60, effort=3, tune="ssim")
    assert decode(refined).size == size


@pytest.mark.parametrize("covered", [False, True])
def test_the_gradient_for_ms_ssim_is_the_slope_of_its_error(covered: bool) -> None:
    model, pixels = load_model(), skimage.data.astronaut()[80:272, 100:324]
    free = np.zeros(model.transforms.grid(192, 224), bool)
    free[:, ::3] = covered
    distortion = StructuralError(model, pixels, 40, free)
    y = payloads(model, pixels, 40, 3, "ssim").y
    gradient = np.empty(y.shape, np.float32)
    distortion.measure(y, gradient)
    step = quantize(0.05 * gradient / np.abs(gradient).max(), ACTIVATION_BITS).astype(np.int32)
    ahead, behind = (distortion.measure(y + side, None).error for side in (step, -step))
    assert ahead - behind == pytest.approx(4 * (gradient * to_real(step)).sum(), rel=0.05)  # it is that of half of it


def test_models_without_a_gradient_are_not_refined(
    tiny_model: Model, tiny_tile_model: Model, photo: Image.Image, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(tiny_model.folder, old, ignore=shutil.ignore_patterns(*GRADIENTS))
    Manifest("old", tiny_model.profile, tiny_model.manifest.bounds).write(old)
    for model in (load_model(old), tiny_tile_model):
        assert not model.refines
        assert encode(photo, 40, model=model, effort=9) == encode(photo, 40, model=model, effort=3)
    assert load_model(old).id == tiny_model.id  # what decodes is the same


def test_iterations_are_told(tiny_model: Model, photo: Image.Image, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "finola_codec"):
        encode(photo.crop((0, 0, 64, 64)), model=tiny_model)
    told = [record.getMessage() for record in caplog.records if "iteration" in record.getMessage()]
    assert [message.split(":")[0] for message in told] == [f"iteration {i} of 3" for i in (1, 2, 3)]


def test_effort_has_a_range(tiny_model: Model, photo: Image.Image) -> None:
    for effort in (2, 11):
        with pytest.raises(ConfigError, match=f"effort {effort} is none of 0, 1, 3, 5, 7, 8, 9, 10"):
            encode(photo, model=tiny_model, effort=effort)


@pytest.mark.parametrize("tune", TUNES)
def test_what_is_covered_by_a_layer_does_not_count(photo: Image.Image, tune: Tune) -> None:
    """It is not coded, and so its error would be most of the cost, which refinement would then be about."""
    model, pixels = load_model(), np.asarray(photo.crop((60, 40, 60 + 160, 40 + 128)))
    free = np.zeros(model.transforms.grid(128, 160), bool)
    free[:, ::2] = True
    covered = free.repeat(16, 0).repeat(16, 1)[:, :, None]
    pixels = np.where(covered, np.random.default_rng(1).integers(0, 256, pixels.shape, np.uint8), pixels)
    costs = []
    for effort in (3, 5):
        coded = payloads(model, pixels, 40, effort, tune, free)
        errors = np.where(covered, 0.0, pixels - model.transforms.synthesise(coded.y, 40, 128, 160).astype(float))
        costs.append(8 * len(coded.vectors) + model.lagrange_multiplier(40) / 3 * (errors**2).sum())
    assert costs[1] < 0.99 * costs[0]
