"""The one quarter of a picture that is seen, and which of its positions predicts which masked ones.

The block is half as high and half as wide as the map, and lies anywhere in it. Along either axis it has h of the 2h
positions, with f masked ones before it and h - f after it. So its first f positions answer for those before it, f away,
and its last h - f for those after it, h - f away. Both axes together divide the block into groups, each with one
offset down and one to the right::

    corner: 1 group      edge: 2 groups       middle: 4 groups
    o o . .              . a b .              . . . .
    o o . .              . a b .              . a b .
    . . . .              . . . .              . c d .
    . . . .              . . . .              . . . .

A position predicts three masked counterparts: down, to the right, and both. Together they are the whole masked region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from finola_codec.pretraining.method import STRIDE


class Group(NamedTuple):
    """Positions of the block that share their offsets."""

    rows: slice  # of the map
    columns: slice
    down: int  # offset to the counterparts below, or above where it is negative
    right: int  # offset to the counterparts to the right, or to the left


@dataclass(frozen=True)
class Quadrant:
    """A block of ``height`` x ``width`` positions at (``row``, ``column``) of a map that is twice as high and wide."""

    row: int
    column: int
    height: int
    width: int

    @property
    def seed(self) -> tuple[int, int]:
        """The position in the middle of the block."""
        return self.row + (self.height - 1) // 2, self.column + (self.width - 1) // 2

    def seen(self, x: Tensor) -> Tensor:
        """Return the block's pixels of (N, 3, H, W), and none of the others."""
        top, left = STRIDE * self.row, STRIDE * self.column
        return x[:, :, top : top + STRIDE * self.height, left : left + STRIDE * self.width]

    def masked(self) -> Tensor:
        """Return the mask (1, 2 height, 2 width), true outside the block."""
        mask = torch.ones(1, 2 * self.height, 2 * self.width, dtype=torch.bool)
        mask[:, self.row : self.row + self.height, self.column : self.column + self.width] = False
        return mask

    def groups(self) -> list[Group]:
        """Return the block's groups: 1, 2 or 4 of them."""
        return [
            Group(rows, columns, down, right)
            for rows, down in _runs(self.row, self.height)
            for columns, right in _runs(self.column, self.width)
        ]


def _runs(first: int, side: int) -> list[tuple[slice, int]]:
    """Along one axis: the positions that answer for what lies before the block, and for what lies after it."""
    runs = [(slice(first, 2 * first), -first), (slice(2 * first, first + side), side - first)]
    return [(positions, offset) for positions, offset in runs if offset]


def anywhere(x: Tensor) -> Quadrant:
    """Draw a block for pixels (N, 3, H, W), each position with the same probability."""
    height, width = (side // STRIDE // 2 for side in x.shape[2:])
    row, column = (int(torch.randint(side + 1, ())) for side in (height, width))
    return Quadrant(row, column, height, width)
