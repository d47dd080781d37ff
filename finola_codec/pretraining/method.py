"""What every method of pre-training is: a picture, of which a part is hidden, becomes patches of pixels."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.nn.mobile_former import MobileFormer
from finola_codec.pretraining.config import PretrainConfig
from finola_codec.profiles import FINOLA_256

STRIDE = 16  # pixels a side that one position of a map stands for
PATCH = 3 * STRIDE**2  # numbers in a patch


class Prediction(NamedTuple):
    """What a method makes of a batch, on a map of h x w positions."""

    patches: Tensor  # (N, h, w, PATCH), ordered as to_patches orders them
    masked: Tensor  # (N or 1, h, w), true where the loss counts
    feature_loss: Tensor | float = 0.0  # is added to it


class Method(nn.Module, ABC):
    """An encoder, and what turns its features into a prediction."""

    @abstractmethod
    def forward(self, x: Tensor, told: Sequence[Tensor] = ()) -> Prediction:
        """Hide a part of pixels (N, 3, H, W) in [-0.5, 0.5], drawn from torch's generator, and predict them.

        ``told`` is what :meth:`tell` of the averaged weights returns for the same pixels.
        """

    def tell(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return what the averaged weights teach those that are trained; nothing, as a rule."""
        return ()

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Whole pictures (N, 3, H, W) to features (N, h w, width): what is used after pre-training."""


class MobileFormerMethod(Method):
    """A method with the encoder of the FINOLA paper."""

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__()
        self.encoder = MobileFormer(config.mobile_former_width, FINOLA_256.anchors)
        self.norm = nn.LayerNorm(self.encoder.width)

    def encode(self, x: Tensor) -> Tensor:
        """Pixels (N, 3, H, W) to a map (N, h, w, width), normalised.

        Its table of qualities is that of finola-256, whose encoder may start from it. Here there are no qualities, and
        all its rows count alike.
        """
        anchors = FINOLA_256.anchors
        mix = torch.full((len(x), anchors), 1 / anchors, device=x.device)
        return self.norm(self.encoder(x, mix).permute(0, 2, 3, 1))

    def features(self, x: Tensor) -> Tensor:
        return self.encode(x).flatten(1, 2)


def to_patches(x: Tensor) -> Tensor:
    """Pixels (N, 3, H, W) to the patch of each position (N, H / 16, W / 16, PATCH)."""
    return F.pixel_unshuffle(x, STRIDE).permute(0, 2, 3, 1)


def pixels_of(channels: int) -> nn.Linear:
    """Return the layer from a position's vector to its patch. It starts at zero, so that all is grey to begin with."""
    layer = nn.Linear(channels, PATCH)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def transformer(width: int, depth: int) -> nn.Sequential:
    """Return ``depth`` transformer blocks on (N, positions, width)."""
    return nn.Sequential(
        *(
            nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
            for _ in range(depth)
        )
    )


def places(height: int, width: int, channels: int) -> Tensor:
    """Tell the positions of a map apart by sines and cosines of row and column: (height width, channels)."""
    frequencies = torch.exp(-math.log(10_000) * torch.arange(channels // 4) / (channels // 4))
    rows, columns = (torch.arange(side)[:, None] * frequencies for side in (height, width))  # (side, channels / 4)
    of_row = torch.cat([rows.sin(), rows.cos()], dim=1)[:, None].expand(-1, width, -1)
    of_column = torch.cat([columns.sin(), columns.cos()], dim=1)[None].expand(height, -1, -1)
    return torch.cat([of_row, of_column], dim=2).flatten(0, 1)
