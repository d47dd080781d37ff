"""Filling what lies under a layer from its surroundings, smoothly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finola_codec.layer.palette import Mask, Pixels


def fill(pixels: Pixels, covered: Mask) -> Pixels:
    """Return pixels (H, W, 3) in which those that are ``covered`` (H, W) go on from the others (push and pull).

    Averages over ever larger squares of what is not covered fill the holes, the smallest square that has any first.
    """
    known = ~covered
    filled = _pull(pixels.astype(np.float32) * known[:, :, None], known.astype(np.float32))
    return np.where(covered[:, :, None], np.rint(filled).clip(0, 255).astype(np.uint8), pixels)


def _pull(total: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the colours (H, W, 3) of a level of the pyramid: its own where it has any, elsewhere those of the next."""
    own = (total / np.maximum(weight, 1e-6)[:, :, None]).astype(np.float32, copy=False)
    if weight.all() or max(weight.shape) == 1:
        return own
    coarse = _pull(_halved(total), _halved(weight[:, :, None])[:, :, 0])
    height, width = weight.shape
    finer = _smooth(coarse.repeat(2, 0).repeat(2, 1)[:height, :width])
    share = np.minimum(weight, 1)[:, :, None]
    return (share * own + (1 - share) * finer).astype(np.float32, copy=False)


def _halved(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width, channels = plane.shape
    plane = np.pad(plane, ((0, height % 2), (0, width % 2), (0, 0)))
    return plane.reshape(plane.shape[0] // 2, 2, plane.shape[1] // 2, 2, channels).sum((1, 3))


def _smooth(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average over three rows and three columns, with weights 1, 2 and 1."""
    for axis in (0, 1):
        before, after = plane.take([0], axis), plane.take([-1], axis)
        size = plane.shape[axis]
        wide = np.concatenate([before, plane, after], axis)
        first, last = wide.take(range(size), axis), wide.take(range(2, size + 2), axis)
        plane = (first + 2 * plane + last) / 4
    return plane
