"""What the blocks of a picture are like: how many colours they have, and how much contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finola_codec import grid
from finola_codec.layer.palette import Pixels, codes

SIDE = 16  # pixels of a block; one of finola-base's C-vectors covers as much
STRIP = 64 * SIDE  # rows of pixels that are looked at together; bounds memory, changes no result


def split(plane: NDArray, side: int = SIDE) -> NDArray:
    """Cut a plane (H, W) into blocks (rows, columns, side * side); the last ones are filled with their edges."""
    height, width = plane.shape
    plane = np.pad(plane, ((0, -height % side), (0, -width % side)), mode="edge")
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return plane.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(rows, columns, side * side)


@dataclass(frozen=True)
class Survey:
    """What a cheap look at each block (rows, columns) of a picture gives."""

    colours: NDArray[np.intp]  # how many different ones
    contrast: NDArray[np.int32]  # levels from the darkest to the brightest pixel


def survey(pixels: Pixels) -> Survey:
    """Look at the blocks of a picture (H, W, 3)."""
    colours, contrast = [], []
    for top in range(0, len(pixels), STRIP):
        strip = pixels[top : top + STRIP]
        ordered = np.sort(split(codes(strip)), axis=2)
        colours.append((np.diff(ordered, axis=2) != 0).sum(2) + 1)
        brightest = np.maximum(np.maximum(strip[:, :, 0], strip[:, :, 1]), strip[:, :, 2])  # max(2) is slow
        contrast.append(np.ptp(split(brightest), axis=2).astype(np.int32))
    return Survey(np.concatenate(colours), np.concatenate(contrast))


def smooth(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give each block what most of the nine around it have."""
    return np.asarray(grid.around(mask.astype(np.int32)) >= 5)
