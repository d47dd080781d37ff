"""HiViT: a vision transformer in three stages, of which only the last looks across units, so any can be dropped.

A unit is 16 x 16 pixels. Its 4 x 4 patches of stride 4 pass perceptrons (C-MLP) one by one; merging 2 x 2 patches makes
2 x 2 of stride 8, and then the unit's one vector of stride 16. Only there does attention look across units. (Zhang et
al., "HiViT: Hierarchical Vision Transformer Meets Masked Image Modeling", 2022; arXiv 2205.14949.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.pretraining.method import STRIDE, places

SMALL = 4  # pixels a side of the smallest patch
SIDE = 4  # of which a unit has 4 x 4


class Levels(NamedTuple):
    """A level for each stride, for K units of each picture; w is the width at stride 4."""

    at4: Tensor  # (N, K, 4, 4, w)
    at8: Tensor  # (N, K, 2, 2, 2 w)
    at16: Tensor  # (N, K, 4 w)


class CMLP(nn.Module):
    """A perceptron on the channels of each patch by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width)
        )

    def forward(self, u: Tensor) -> Tensor:
        return u + self.layers(u)


class Block(nn.Module):
    """Attention among units, then a perceptron on each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.mlp = CMLP(width)

    def forward(self, u: Tensor, weighed: bool = False) -> tuple[Tensor, Tensor | None]:
        """Units (N, K, width) to units, and if ``weighed`` by how much each (row) attends to each: (N, K, K)."""
        normed = self.norm(u)
        read, attention = self.attention(normed, normed, normed, need_weights=weighed)
        return self.mlp(u + read), attention


class HiViT(nn.Module):
    """Pixels to levels."""

    def __init__(self, width: int, depths: tuple[int, int, int]) -> None:
        super().__init__()
        self.embed = nn.Linear(3 * SMALL**2, width)
        self.stage4 = nn.Sequential(*(CMLP(width) for _ in range(depths[0])))
        self.merge8 = _merge(4 * width)
        self.stage8 = nn.Sequential(*(CMLP(2 * width) for _ in range(depths[1])))
        self.merge16 = _merge(8 * width)
        self.stage16 = nn.ModuleList(Block(4 * width) for _ in range(depths[2]))
        self.width = 4 * width

    def forward(self, x: Tensor, kept: Tensor | None = None) -> Levels:
        """Pixels (N, 3, H, W) to levels of the units ``kept`` (N, K), numbered row by row; of all by default."""
        units = to_units(x)  # (N, L, 4, 4, 48)
        where = places(x.shape[2] // STRIDE, x.shape[3] // STRIDE, self.width).to(x.device).expand(len(x), -1, -1)
        if kept is not None:  # the others end here
            units, where = take(units, kept), take(where, kept)
        at4 = self.stage4(self.embed(units))  # (N, K, 4, 4, w)
        at8 = self.stage8(self.merge8(merged(at4)))  # (N, K, 2, 2, 2 w)
        at16 = self.merge16(merged(at8)).flatten(2) + where  # (N, K, 4 w)
        return Levels(at4, at8, self.attend(at16))

    def attend(self, u: Tensor) -> Tensor:
        """Units (N, K, width) look at each other."""
        for block in self.stage16:
            u, _ = block(u)
        return u


def _merge(width: int) -> nn.Sequential:
    """Return the layer that halves patches put side by side. Its norm keeps them from fading beside the positions."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width // 2))


def to_units(x: Tensor) -> Tensor:
    """Pixels (N, 3, H, W) to the smallest patches of each unit (N, L, 4, 4, 48)."""
    small = F.pixel_unshuffle(x, SMALL).unflatten(3, (-1, SIDE)).unflatten(2, (-1, SIDE))  # (N, 48, h, 4, w, 4)
    return small.permute(0, 2, 4, 3, 5, 1).flatten(1, 2)


def merged(u: Tensor) -> Tensor:
    """Put 2 x 2 patches side by side: (N, K, s, s, w) to (N, K, s / 2, s / 2, 4 w)."""
    return u.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).transpose(3, 4).flatten(4)


def take(units: Tensor, chosen: Tensor) -> Tensor:
    """Return of each picture's units (N, L, ...) those of its row of ``chosen`` (N, K): (N, K, ...)."""
    return units[torch.arange(len(units), device=units.device)[:, None], chosen]
