"""Plain FINOLA: a whole picture becomes one vector, which grows into its map (equation 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from finola_codec.nn.finola import Finola
from finola_codec.pretraining.config import PretrainConfig
from finola_codec.pretraining.method import STRIDE, MobileFormerMethod, Prediction, pixels_of

QUERIES = 16


class AttentionPool(nn.Module):
    """Learned queries read a map, and what they find is one vector."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(QUERIES, width))
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.narrow = nn.Linear(width, channels // QUERIES)

    def forward(self, f: Tensor) -> Tensor:
        """Features (N, positions, width) to vectors (N, C)."""
        queries = self.queries.expand(len(f), -1, -1)
        read, _ = self.attention(queries, f, f, need_weights=False)  # (N, QUERIES, width)
        return self.narrow(read).flatten(1)


class PlainFinola(MobileFormerMethod):
    """Encoder, attention pooling, FINOLA, and a linear layer from each position to its patch."""

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__(config)
        self.pool = AttentionPool(self.encoder.width, config.channels)
        self.finola = Finola(config.channels)
        self.to_pixels = pixels_of(config.channels)

    def forward(self, x: Tensor, told: Sequence[Tensor] = ()) -> Prediction:
        everywhere = torch.ones(1, x.shape[2] // STRIDE, x.shape[3] // STRIDE, dtype=torch.bool, device=x.device)
        return Prediction(self.grow(x, *everywhere.shape[1:]), everywhere)

    def grow(self, seen: Tensor, height: int, width: int, seed: tuple[int, int] | None = None) -> Tensor:
        """Pixels (N, 3, H, W) to one vector, and from ``seed`` to the patches (N, height, width, PATCH) of a map."""
        z = self.pool(self.features(seen))[:, None, None]  # a grid of one vector, (N, 1, 1, C)
        return self.to_pixels(self.finola(z, height, width, seed))
