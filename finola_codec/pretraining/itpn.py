r"""iTPN: backbone and feature pyramid are pre-trained together.

The pyramid's levels are, from stride 16 down,

.. math::
    V^S = U^S \qquad V^s = U^s + \operatorname{up}(V^{s+1})

Masked units are dropped from the input. Two things are learned of them: their pixels, from the sum of the levels
(masked image modelling); and, from each level by itself, what a moving average of the encoder, which sees the whole
picture, makes of them at that stage (masked feature modelling). (Tian et al., "Integrally Pre-Trained Transformer
Pyramid Networks", arXiv 2211.12735.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.pretraining.config import PretrainConfig
from finola_codec.pretraining.hivit import HiViT, Levels
from finola_codec.pretraining.method import STRIDE, Method, Prediction, pixels_of, places, transformer


class Pyramid(nn.Module):
    """The neck, in pre-training as in use. Each level ends as one vector a unit, so that they can be added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        w = width // 4  # at stride 4
        self.up8, self.up4 = nn.Linear(width, 2 * 2 * 2 * w), nn.Linear(2 * w, 2 * 2 * w)
        self.gather8, self.gather4 = nn.Linear(2 * 2 * 2 * w, width), nn.Linear(4 * 4 * w, width)

    def forward(self, u: Levels) -> Levels:
        """U to V."""
        v8 = u.at8 + self.up8(u.at16).unflatten(2, (2, 2, -1))
        split = self.up4(v8).unflatten(4, (2, 2, -1))  # (N, K, 2, 2, 2, 2, w)
        v4 = u.at4 + split.transpose(3, 4).flatten(4, 5).flatten(2, 3)
        return Levels(v4, v8, u.at16)

    def gathered(self, v: Levels) -> list[Tensor]:
        """Return a vector (N, K, width) for each unit and level."""
        return [v.at16, self.gather8(v.at8.flatten(2)), self.gather4(v.at4.flatten(2))]


class ITPN(Method):
    """HiViT, pyramid, and a decoder that fills dummies in for what was masked."""

    def __init__(self, config: PretrainConfig) -> None:
        super().__init__()
        self.masked, self.feature_weight = config.masked, config.feature_weight
        self.encoder = self.backbone(config)
        width = self.encoder.width
        self.pyramid = Pyramid(width) if config.pyramid else None
        self.dummy = nn.Parameter(torch.zeros(width))
        self.decoder = transformer(width, config.decoder_depth)
        self.to_pixels = pixels_of(width)
        # At every stage a unit has as many numbers as its patches have channels: w 4 x 4, 2 w 2 x 2, 4 w.
        numbers = [width, 2 * width, 4 * width] if config.pyramid else [width]
        self.to_features = nn.ModuleList(nn.Linear(width, count) for count in numbers) if self.feature_weight else None

    def backbone(self, config: PretrainConfig) -> HiViT:
        return HiViT(config.width, config.depths)

    def levels(self, x: Tensor, kept: Tensor | None = None) -> list[Tensor]:
        """Return a vector (N, K, width) for each unit that is kept and each level, from stride 16 down."""
        u = self.encoder(x, kept)
        return [u.at16] if self.pyramid is None else self.pyramid.gathered(self.pyramid(u))

    def features(self, x: Tensor) -> Tensor:
        return torch.stack(self.levels(x)).sum(0)

    def forward(self, x: Tensor, told: Sequence[Tensor] = ()) -> Prediction:
        n, height, width = len(x), x.shape[2] // STRIDE, x.shape[3] // STRIDE
        count = height * width
        kept = torch.rand(n, count, device=x.device).argsort(1)[:, : round((1 - self.masked) * count)]  # (N, K)
        masked = torch.ones(n, count, dtype=torch.bool, device=x.device).scatter(1, kept, False)
        levels = self.levels(x, kept)
        inputs = torch.stack([torch.stack(levels).sum(0), *levels])  # (1 + S, N, K, width)
        where = places(height, width, inputs.shape[-1]).to(x.device)
        whole, *each = (self.decoder(self._filled(level, kept, count) + where) for level in inputs)  # (N, L, width)
        patches = self.to_pixels(whole).unflatten(1, (height, width))
        return Prediction(patches, masked.unflatten(1, (height, width)), self._feature_loss(each, told, masked))

    def _filled(self, units: Tensor, kept: Tensor, count: int) -> Tensor:
        """Put units (N, K, width) back into their places, with dummies in the others: (N, L, width)."""
        whole = self.dummy.to(units.dtype).expand(len(units), count, -1)
        return whole.scatter(1, kept[..., None].expand_as(units), units)

    @torch.no_grad()
    def tell(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return what the encoder makes of each unit at each stage that is modelled: (N, L, numbers), normalised."""
        if self.to_features is None:
            return ()
        u = self.encoder(x)
        stages = (u.at16, u.at8, u.at4)[: len(self.to_features)]
        return tuple(F.layer_norm(level.flatten(2).float(), (level[0, 0].numel(),)) for level in stages)

    def _feature_loss(self, decoded: Sequence[Tensor], told: Sequence[Tensor], masked: Tensor) -> Tensor | float:
        if self.to_features is None:
            return 0.0
        losses = [
            F.mse_loss(to_features(features[masked]).float(), target[masked])
            for to_features, features, target in zip(self.to_features, decoded, told, strict=True)
        ]
        return self.feature_weight * torch.stack(losses).sum()
