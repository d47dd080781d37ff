"""From pixels to the blocks of a picture and back, for whoever weighs what lies in a block.

>>> sums(np.ones((20, 40)), side=16)
array([[256., 256., 128.],
       [ 64.,  64.,  32.]])
>>> widen(np.array([[1, 2]]), side=3, height=1, width=5)
array([[1, 1, 1, 2, 2]])
>>> around(np.array([[0, 0, 1]]))
array([[0, 3, 6]])
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sums(plane: NDArray, side: int) -> NDArray:
    """Sum a plane (H, W) over its blocks of ``side`` pixels a side (h, w)."""
    height, width = plane.shape
    plane = np.pad(plane, ((0, -height % side), (0, -width % side)))
    return plane.reshape(plane.shape[0] // side, side, -1, side).sum((1, 3))


def widen(blocks: NDArray, side: int, height: int, width: int) -> NDArray:
    """Give each pixel (height, width) what its block of ``side`` pixels a side has."""
    return blocks.repeat(side, 0).repeat(side, 1)[:height, :width]


def around(blocks: NDArray) -> NDArray:
    """Sum over each block (h, w) and its eight neighbours; those beyond the picture are as the last ones within."""
    rows, columns = blocks.shape
    wider = np.pad(blocks, 1, mode="edge")
    return np.sum([wider[i : i + rows, j : j + columns] for i in range(3) for j in range(3)], 0)
