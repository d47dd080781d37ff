"""Refining the C-vectors of one picture through its decoder, when encoding takes its time."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from finola_codec.entropy.fixed import to_real
from finola_codec.nn.blocks import mix_of
from finola_codec.nn.model import Codec
from finola_codec.nn.restore import restore
from finola_codec.quality import position
from finola_codec.runtime.model import Model
from finola_codec.runtime.windows import scaled, windows

WINDOW = 2**18  # gradients are computed for this many pixels at once, which bounds memory
RATE = 0.3
CURVATURE = 0.85  # the curvature of half the squared pixel error, relative to that of the linear shortcut alone
PRICE = 0.6  # an error of a refined vector costs this part of the usual price, because others make up for some of it


def refine(
    model: Model, pixels: NDArray[np.uint8], y: NDArray[np.float32], quality: int, iterations: int
) -> tuple[NDArray[np.float32], float]:
    """Lower bits + lambda 255^2 MSE of a picture by ``iterations`` of proximal gradient descent on its C-vectors.

    ``pixels`` (H, W, 3) and their vectors ``y`` (h, w, C) give refined vectors and the price of an error to code
    them with. An iteration codes the vectors in earnest, rate-distortion optimised, which is the proximal step for the
    bits; with the gradient g of half the pixels' squared error at the decoded vectors q, and its curvature c, a
    decoder that were linear would want q - g / c decoded, and ``y`` goes RATE of the way there.
    """
    codec = _codec(model.folder)
    price = PRICE * model.price(quality)
    curvature = CURVATURE / codec.profile.unit**2
    refined, block = y.copy(), codec.profile.block
    for _ in range(iterations):
        integers = model.prior.encode(refined, model.pixels.hyper(refined, quality), quality, price).y
        for outer, inner, crop in windows(y.shape[0], y.shape[1], block, WINDOW, codec.profile.decoder_margin):
            window = pixels[scaled(outer[0], block), scaled(outer[1], block)]
            decoded = to_real(integers[outer])
            wanted = decoded - _gradient(codec, window, decoded, position(quality)) / curvature
            refined[inner] += RATE * (wanted[crop] - refined[inner])
    return refined, price


def _gradient(
    codec: Codec, window: NDArray[np.uint8], decoded: NDArray[np.float32], where: float
) -> NDArray[np.float32]:
    """Differentiate half the squared error of pixels (H, W, 3) in [0, 1] by the decoded C-vectors (h, w, C)."""
    height, width = window.shape[:2]
    mix = mix_of(torch.tensor([where]), codec.profile.anchors)
    wanted = torch.from_numpy(window.astype(np.float32)).permute(2, 0, 1)[None] / 255 - 0.5
    y = torch.from_numpy(decoded).permute(2, 0, 1)[None].contiguous().requires_grad_()
    x = codec.synthesise(y, mix)[:, :, :height, :width]
    (gradient,) = torch.autograd.grad((x - wanted).square().sum() / 2, y)
    return gradient[0].permute(1, 2, 0).numpy()


@lru_cache(maxsize=2)
def _codec(folder: Path) -> Codec:
    return restore(folder).eval().requires_grad_(False)
