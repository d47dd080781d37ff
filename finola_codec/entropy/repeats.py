"""Cells that repeat the one before them: what makes flat pictures nearly free.

A *cell* is the square of positions that one hyper vector grows into. The cell before it is the one at its left, or the
one above it in the first column. Before the first cell stand zeros.
"""

from __future__ import annotations

import math

import numpy as np

from finola_codec.entropy.coder import Reader, Writer
from finola_codec.entropy.exact import Mask
from finola_codec.entropy.fixed import Integers
from finola_codec.entropy.tables import TOTAL

SHARES = 32  # a payload says the share of cells that repeat in 32nds; 0 means that none does


class Cells:
    """The cells of ``patch`` x ``patch`` positions that cover a ``grid`` of (h, w), in raster order.

    >>> cells = Cells(2, (2, 5))
    >>> cells.shape, cells.before
    ((1, 3), array([-1,  0,  1]))
    >>> cells.positions(np.array([False, True, False])).astype(int)
    array([0, 0, 1, 1, 0, 0, 0, 1, 1, 0])
    """

    def __init__(self, patch: int, grid: tuple[int, int]) -> None:
        self.patch, self.grid = patch, grid
        self.shape = -(-grid[0] // patch), -(-grid[1] // patch)
        index = np.arange(self.shape[0] * self.shape[1])
        self.before = np.where(index % self.shape[1], index - 1, index - self.shape[1])
        self.before[0] = -1

    def positions(self, cells: Mask) -> Mask:
        """For each position (h * w,), what ``cells`` (cells,) says of its cell."""
        rows, columns = (np.arange(side) // self.patch for side in self.grid)
        return cells.reshape(self.shape)[rows[:, None], columns].ravel()

    def anywhere(self, positions: Mask) -> Mask:
        """Return the cells (cells,) in which ``positions`` (h, w) is true at least once."""
        rows, columns = (np.arange(0, side, self.patch) for side in self.grid)
        return np.logical_or.reduceat(np.logical_or.reduceat(positions, rows, axis=0), columns, axis=1).ravel()

    def fill(self, vectors: Integers, repeated: Mask) -> None:
        """Give each cell that is ``repeated`` the vector of the cell before it; ``vectors`` is (cells, C_hyper)."""
        for cell in np.flatnonzero(repeated):
            vectors[cell] = vectors[self.before[cell]] if self.before[cell] >= 0 else 0

    def equal(self, vectors: Integers) -> Mask:
        """Return the cells whose vector is that of the cell before them."""
        previous = np.where((self.before >= 0)[:, None], vectors[self.before], 0)
        return (vectors == previous).all(1)


def share(repeated: Mask) -> int:
    """Return what a payload says of the share of cells that repeat: 0 for none, otherwise 1 to 31."""
    return min(max(1, round(SHARES * float(repeated.mean()))), SHARES - 1) if repeated.any() else 0


def cost(repeated: Mask) -> float:
    """Return the bits that it takes to tell which cells repeat."""
    part = share(repeated) / SHARES
    if not part:
        return 0.0
    count = int(repeated.sum())
    return -count * math.log2(part) - (repeated.size - count) * math.log2(1 - part)


def write(writer: Writer, repeated: Mask) -> None:
    """Code which cells repeat."""
    writer.write_uniform(share(repeated), SHARES)
    if repeated.any():
        writer.write_flags(repeated, share(repeated) * (TOTAL // SHARES))


def read(reader: Reader, count: int) -> Mask:
    """Which of ``count`` cells repeat."""
    part = reader.read_uniform(SHARES)
    return reader.read_flags(count, part * (TOTAL // SHARES)) if part else np.zeros(count, bool)
