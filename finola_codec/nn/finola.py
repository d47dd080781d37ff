r"""FINOLA: First-Order Norm+Linear Autoregression.

The feature map of an image obeys one pair of first-order difference equations (equations 1 and 3 of the
paper), with matrices that all images share:

.. math::
    z(x+1, y) = z(x, y) + A\,\hat z(x, y) \qquad z(x-1, y) = z(x, y) + A'\,\hat z(x, y)

    z(x, y+1) = z(x, y) + B\,\hat z(x, y) \qquad z(x, y-1) = z(x, y) + B'\,\hat z(x, y)

    \hat z = (z - \operatorname{mean} z) / \operatorname{std} z

where mean and standard deviation run over the C channels of that one position. So one vector, placed at
one position, determines the whole map.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Callable[[Tensor], Tensor]
Matrix = Tensor | Callable[[Tensor], Tensor]  # (C, C), or what multiplies (..., C) by one

EPSILON = 2.0**-10  # is added to the variance, so that a flat vector does not blow its rounding errors up


class Finola(nn.Module):
    """Grow vectors into patches of a feature map.

    >>> grown = Finola(channels=8)(torch.randn(5, 2, 3, 8), height=4, width=4)
    >>> grown.shape
    torch.Size([5, 8, 12, 8])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Small matrices keep the recurrence from blowing up early in training.
        scale = 0.3 / math.sqrt(channels)
        self.right = nn.Parameter(torch.randn(channels, channels) * scale)  # A
        self.left = nn.Parameter(torch.randn(channels, channels) * scale)  # A'
        self.down = nn.Parameter(torch.randn(channels, channels) * scale)  # B
        self.up = nn.Parameter(torch.randn(channels, channels) * scale)  # B'

    def forward(self, z: Tensor, height: int, width: int, seed: tuple[int, int] | None = None) -> Tensor:
        """Grow a grid of vectors (N, h, w, C) into the map (N, h * height, w * width, C), as :func:`grow` does."""
        return grow(z, (self.right, self.left, self.down, self.up), height, width, seed)


def normalise(z: Tensor) -> Tensor:
    """Apply the paper's norm, over the channels of each position."""
    return F.layer_norm(z, z.shape[-1:], eps=EPSILON)


def grow(
    z: Tensor,
    matrices: tuple[Matrix, Matrix, Matrix, Matrix],
    height: int,
    width: int,
    seed: tuple[int, int] | None = None,
    norm: Norm = normalise,
) -> Tensor:
    """Grow each vector of a grid (N, h, w, C) into a patch of height x width by A, A', B, B'.

    The result is the map that the patches tile, (N, h * height, w * width, C). ``seed`` is the (row, column) at which
    the vector stands; the centre, (side - 1) // 2, by default. A diagonal position is reached along x and then y, and
    also along y and then x; the two are averaged.
    """
    right, left, down, up = matrices
    row, column = seed or ((height - 1) // 2, (width - 1) // 2)
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"seed {(row, column)} lies outside a patch of {height} x {width}")
    in_rows = (column, width - 1 - column, left, right, norm)
    in_columns = (row, height - 1 - row, up, down, norm)
    # Each line is put where the map has it, (N, h, height, w, width, C), so that nothing needs to be moved afterwards.
    rows_first = line(line(z, 3, *in_rows), 2, *in_columns)  # (N, h, w, C) -> (N, h, w, width, C) -> the map
    columns_first = line(line(z, 2, *in_columns), 4, *in_rows)  # (N, h, w, C) -> (N, h, height, w, C) -> the map
    return ((rows_first + columns_first) / 2).flatten(3, 4).flatten(1, 2)


def line(
    z: Tensor, dim: int, before: int, after: int, backward: Matrix, forward: Matrix, norm: Norm = normalise
) -> Tensor:
    """Repeat the step both ways from ``z`` (..., C), and stack the before + 1 + after vectors along a new ``dim``."""
    rows = z.flatten(0, -2)  # products and norms of plain matrices are the fastest everywhere
    cells, start = [rows], norm(rows)
    for count in range(after):
        cells.append(step(cells[-1], norm(cells[-1]) if count else start, forward))
    for count in range(before):
        cells.insert(0, step(cells[0], norm(cells[0]) if count else start, backward))
    return torch.stack([cell.view_as(z) for cell in cells], dim=dim)


def step(z: Tensor, normalised: Tensor, matrix: Matrix) -> Tensor:
    """Take one step from ``z``: multiply what it is ``normalised``, and add."""
    return z + (F.linear(normalised, matrix) if isinstance(matrix, Tensor) else matrix(normalised))


def grow_map(finola: Callable[[Tensor, int, int], Tensor], grid: Tensor, patch: int) -> Tensor:
    """Grow a grid of vectors (N, C, h, w) into the map they tile, (N, C, h * patch, w * patch)."""
    # A channels-last tensor, which is what the convolutions that follow want.
    return finola(grid.permute(0, 2, 3, 1), patch, patch).permute(0, 3, 1, 2)
