"""The codec as one trainable module."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.nn.blocks import hat_weights
from finola_codec.nn.decoder import Decoder
from finola_codec.nn.encoder import Encoder, HyperEncoder
from finola_codec.nn.prior import Prior
from finola_codec.nn.profiles import Profile


class Result(NamedTuple):
    """A coded batch: pixels (N, 3, H, W) in [-0.5, 0.5] and bits of each image (N,)."""

    x: Tensor
    bits: Tensor
    hyper_bits: Tensor


class Codec(nn.Module):
    """Encoder, prior and decoder of one profile.

    >>> from finola_codec.nn.profiles import FINOLA_TINY
    >>> result = Codec(FINOLA_TINY)(torch.rand(2, 3, 64, 64) - 0.5, torch.tensor([0.1, 0.9]))
    >>> result.x.shape, result.bits.shape
    (torch.Size([2, 3, 64, 64]), torch.Size([2]))
    """

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self.profile = profile
        self.encoder = Encoder(profile)
        self.hyper_encoder = HyperEncoder(profile)
        self.prior = Prior(profile.prior)
        self.decoder = Decoder(profile)

    def forward(self, x: Tensor, position: Tensor) -> Result:
        """Code pixels ``x`` (N, 3, H, W), sides multiples of 16, at quality positions (N,) in [0, 1]."""
        weights = hat_weights(position, self.profile.anchors)
        y, z = self.analyse(x, weights)
        with torch.autocast(x.device.type, enabled=False):
            coded = self.prior(y.float(), z.float(), weights)
        return Result(self.synthesise(coded.y, weights), coded.bits, coded.hyper_bits)

    def analyse(self, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels to C-vectors (N, C, h, w) and hyper vectors (N, C_hyper, ceil(h/patch), ceil(w/patch))."""
        y = self.encoder(x, weights)
        patch = self.profile.hyper_patch
        padding = (0, -y.shape[3] % patch, 0, -y.shape[2] % patch)
        padded = F.pad(self.prior.whiten(y), padding, mode="replicate")
        return y, self.hyper_encoder(padded, weights)

    def synthesise(self, y: Tensor, weights: Tensor) -> Tensor:
        """Decoded C-vectors (N, C, h, w) to pixels (N, 3, 16 h, 16 w)."""
        return self.decoder(y, self.prior.whiten(y), weights)
