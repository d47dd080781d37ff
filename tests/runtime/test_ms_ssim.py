"""MS-SSIM and its gradient, beside torchmetrics, by which results are measured."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from finola_codec.entropy.exact import Floats
from finola_codec.runtime.ms_ssim import SMALLEST_SIDE, ms_ssim


def noisy(height: int, width: int) -> tuple[Floats, Floats]:
    """A part of a photograph with noise, and without."""
    original = skimage.data.astronaut()[:height, :width, 1].astype(np.float32)
    noise = np.random.default_rng(1).normal(0, 15, original.shape)
    return (original + noise).astype(np.float32), original


@pytest.mark.parametrize("size", [(256, 320), (177, 501), (180, 177)])
def test_value_and_gradient_are_those_of_torchmetrics(size: tuple[int, int]) -> None:
    x, y = noisy(*size)
    given = torch.from_numpy(x).requires_grad_()
    expected = multiscale_structural_similarity_index_measure(
        given[None, None], torch.from_numpy(y)[None, None], data_range=255.0
    )
    expected.backward()
    assert given.grad is not None
    found, gradient = ms_ssim(x, y)
    assert found == pytest.approx(expected.item(), abs=1e-4)
    # torchmetrics averages the last scale over windows beyond the borders too.
    assert np.linalg.norm(gradient - given.grad.numpy()) < 0.02 * np.linalg.norm(gradient)


@pytest.mark.parametrize("size", [(SMALLEST_SIDE, 40), (30, 25), (100, 90), (200, 200)])
def test_the_gradient_is_the_slope_at_any_size(size: tuple[int, int]) -> None:
    x, y = noisy(*size)
    gradient = ms_ssim(x, y)[1]
    ahead, behind = (ms_ssim(x + step * gradient / np.abs(gradient).max(), y)[0] for step in (0.5, -0.5))
    slope = (gradient**2).sum() / np.abs(gradient).max()
    assert ahead - behind == pytest.approx(slope, rel=0.02)


def test_equal_pictures_have_one_and_no_gradient() -> None:
    y = noisy(190, 200)[1]
    found, gradient = ms_ssim(y, y)
    assert found == pytest.approx(1)
    assert np.abs(gradient).max() < 1e-9


def test_opposite_pictures_have_a_finite_gradient() -> None:
    y = noisy(200, 200)[1]
    found, gradient = ms_ssim(255 - y, y)  # cs is negative
    assert 0 < found < 0.1
    assert np.isfinite(gradient).all()
