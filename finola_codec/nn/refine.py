"""Refining the C-vectors of one picture through its decoder, when encoding takes its time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
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

WINDOW = 2**19  # gradients are computed of what so many pixels at once tell, which bounds memory
RATE = 0.3
CURVATURE = 0.85  # the curvature of half the squared pixel error, relative to that of the linear shortcut alone
PRICE = 0.6  # an error of a refined vector costs this part of the usual price, because others make up for some of it

Floats = NDArray[np.float32]

_log = logging.getLogger(__name__)


def refine(
    model: Model,
    pixels: NDArray[np.uint8],
    y: Floats,
    quality: int,
    iterations: int,
    free: NDArray[np.bool_] | None = None,
) -> tuple[Floats, float]:
    """Lower bits + lambda 255^2 MSE of a picture by ``iterations`` of proximal gradient descent on its C-vectors.

    ``pixels`` (H, W, 3) and their vectors ``y`` (h, w, C) give the best vectors that were met, ``y`` itself among them,
    and the price of an error to code them with. What is ``free`` (h, w) need not be coded.

    An iteration codes the vectors in earnest, rate-distortion optimised, which is the proximal step for the bits; with
    the gradient g of half the pixels' squared error at the decoded vectors q, and its curvature c, a decoder that
    were linear would want q - g / c decoded, and ``y`` goes RATE of the way there.
    """
    with _threads(model.threads):
        usual, lower = model.price(quality), PRICE * model.price(quality)
        curvature = CURVATURE / model.profile.unit**2
        weight = model.lagrangian(quality) * 255**2 / 3  # bits for a squared error, pixels lying in [0, 1]

        def coded(vectors: Floats, price: float) -> tuple[float, Floats, Floats]:
            payloads = model.prior.encode(vectors, model.pixels.hyper(vectors, quality), quality, price, free)
            decoded = to_real(payloads.y)
            gradient, error = _gradients(model, pixels, decoded, quality)
            return 8 * (len(payloads.hyper) + len(payloads.vectors)) + weight * error, decoded, gradient

        best, refined = (y, usual), y.copy()
        least, *_ = coded(y, usual)
        for iteration in range(iterations + 1):
            cost, decoded, gradient = coded(refined, lower)
            _log.info("iteration %d of %d: %.0f bits of rate and distortion", iteration, iterations, cost)
            if cost < least:
                best, least = (refined.copy(), lower), cost
            refined += RATE * (decoded - gradient / curvature - refined)
        return best


def _gradients(model: Model, pixels: NDArray[np.uint8], decoded: Floats, quality: int) -> tuple[Floats, float]:
    """Differentiate half the pixels' squared error by the decoded C-vectors (h, w, C), and return that error too."""
    codec = _codec(model.folder)
    profile, where = codec.profile, position(quality)
    block = profile.block
    # Pixels that far away depend on a vector, and on vectors as far away from them again.
    margin = 2 * (block * profile.decoder_grid_margin + profile.decoder_margin)
    found, error = np.empty_like(decoded), 0.0
    for outer, inner, crop in windows(decoded.shape[0], decoded.shape[1], block, WINDOW, margin):
        window = pixels[scaled(outer[0], block), scaled(outer[1], block)]
        gradient, squared = _gradient(codec, window, decoded[outer], where)
        found[inner] = gradient[crop]
        error += float(squared[scaled(crop[0], block), scaled(crop[1], block)].sum(dtype=np.float64))
    return found, error


def _gradient(codec: Codec, window: NDArray[np.uint8], decoded: Floats, where: float) -> tuple[Floats, Floats]:
    """Differentiate half the squared error of pixels (H, W, 3) in [0, 1] by the decoded C-vectors (h, w, C).

    The squared error of every pixel (H, W) comes with it.
    """
    height, width = window.shape[:2]
    mix = mix_of(torch.tensor([where]), codec.profile.anchors)
    wanted = torch.from_numpy(window.astype(np.float32)).permute(2, 0, 1)[None] / 255 - 0.5  # (1, 3, H, W)
    y = torch.from_numpy(decoded.copy()).permute(2, 0, 1)[None].contiguous().requires_grad_()  # (1, C, h, w)
    squared = (codec.synthesise(y, mix)[:, :, :height, :width] - wanted).square()
    (gradient,) = torch.autograd.grad(squared.sum() / 2, y)
    return gradient[0].permute(1, 2, 0).numpy(), squared.detach()[0].sum(0).numpy()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` CPU threads, or as many as before if it is 0."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=2)
def _codec(folder: Path) -> Codec:
    return restore(folder).eval().requires_grad_(False)
