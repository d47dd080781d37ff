"""Refining the C-vectors of one picture by gradient descent through its decoder, when encoding takes its time."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Adam

from finola_codec.nn.blocks import hat_weights
from finola_codec.nn.model import Codec
from finola_codec.nn.restore import restore
from finola_codec.runtime.model import Model
from finola_codec.runtime.pixels import scaled, tiles

WINDOW = 2**18  # pixels that are refined at once; bounds memory
RATE = 0.04  # Adam's learning rate, in quantizer steps


def refine(
    model: Model, pixels: NDArray[np.uint8], y: NDArray[np.float32], quality: int, iterations: int
) -> NDArray[np.float32]:
    """Lower bits + lambda 255^2 MSE of a picture by ``iterations`` of Adam on its C-vectors.

    ``pixels`` (H, W, 3) and their vectors ``y`` (h, w, C) give refined vectors; the network's weights stay as they are.
    The rate is that of values with uniform noise, the distortion that of rounded ones, as in training.
    """
    codec = _codec(model.folder)
    weights = hat_weights(torch.tensor([model.position(quality)]), codec.profile.anchors)
    refined = y.copy()
    for outer, inner, crop in tiles(y.shape[0], y.shape[1], codec.profile.block, WINDOW):
        window = pixels[scaled(outer[0], codec.profile.block), scaled(outer[1], codec.profile.block)]
        found = _descend(codec, window, refined[outer], weights, model.lagrangian(quality), iterations)
        refined[inner] = found[crop]
    return refined


def _descend(
    codec: Codec, window: NDArray[np.uint8], y: NDArray[np.float32], weights: Tensor, lagrangian: float, iterations: int
) -> NDArray[np.float32]:
    height, width = window.shape[:2]
    wanted = torch.from_numpy(window.astype(np.float32)).permute(2, 0, 1)[None] / 255 - 0.5
    start = torch.from_numpy(y).permute(2, 0, 1)[None].contiguous()
    step = codec.prior.log2_step(weights)[:, :, None, None].exp2()
    offset = torch.zeros_like(start, requires_grad=True)  # in quantizer steps
    optimiser = Adam([offset], lr=RATE)
    for _ in range(iterations):
        optimiser.zero_grad()
        coded = codec.code(start + step * offset, weights)
        x = codec.synthesise(coded.y, weights)[:, :, :height, :width]
        loss = coded.bits.sum() / (height * width) + lagrangian * 255**2 * (x - wanted).square().mean()
        loss.backward()
        optimiser.step()
    return (start + step * offset.detach())[0].permute(1, 2, 0).numpy()


@lru_cache(maxsize=2)
def _codec(folder: Path) -> Codec:
    # In training mode the prior puts noise in the place of rounding, which gives the rate a gradient.
    return restore(folder).train().requires_grad_(False)
