"""Where an error shows: beside much contrast it is hard to see, and counts less in SSIM.

>>> pixels = np.zeros((16, 32, 3), np.uint8)
>>> pixels[:, 16:] = np.indices((16, 16)).sum(0)[..., None] % 2 * 200
>>> flat, busy = visibility(pixels, 16)[0]
>>> bool(flat > 100 * busy)
True
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finola_codec.runtime.ms_ssim import C2

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
SIDE = 8  # pixels a side of the squares whose variance is taken


def visibility(pixels: NDArray[np.uint8], block: int) -> NDArray[np.float32]:
    """Return how much an error in each block (h, w) of ``pixels`` (H, W, 3) counts for SSIM, relative to their mean.

    SSIM falls with the square error e^2 at a place as e^2 / (2 variance + C2). Variances are those of luma. The means,
    over a block and over the picture, are geometric.
    """
    # Row by row of blocks, since large pictures would not fit in float32 as well.
    logs = np.stack([_log_contrast(pixels[top : top + block], block) for top in range(0, len(pixels), block)])
    return np.exp(logs.mean() - logs)


def _log_contrast(row: NDArray[np.uint8], block: int) -> NDArray[np.float32]:
    """The mean logarithm of 2 variance + C2 in each block (w,) of one row of them (at most block, W, 3)."""
    height, width = row.shape[:2]
    luma = np.pad(row @ LUMA, ((0, block - height), (0, -width % block)), mode="edge")
    squares = luma.reshape(block // SIDE, SIDE, -1, block // SIDE, SIDE)
    return np.log(2 * squares.var((1, 4)) + np.float32(C2)).mean((0, 2))
