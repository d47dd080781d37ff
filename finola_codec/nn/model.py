"""The codec as one trainable module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.nn.blocks import hat_weights
from finola_codec.nn.decoder import Decoder
from finola_codec.nn.encoder import Encoder, HyperEncoder
from finola_codec.nn.factorised import FactorisedPrior
from finola_codec.nn.prior import Coded, Prior
from finola_codec.nn.profiles import BlockProfile, Profile, TileProfile
from finola_codec.nn.tile import TileDecoder, TileEncoder


class Result(NamedTuple):
    """A coded batch: pixels (N, 3, H, W) in [-0.5, 0.5] and bits of each image (N,)."""

    x: Tensor
    bits: Tensor
    hyper_bits: Tensor


class Codec(nn.Module, ABC):
    """Encoder, prior and decoder of one profile; :func:`build` makes them.

    >>> from finola_codec.nn.profiles import FINOLA_TINY
    >>> result = build(FINOLA_TINY)(torch.rand(2, 3, 64, 64) - 0.5, torch.tensor([0.1, 0.9]))
    >>> result.x.shape, result.bits.shape
    (torch.Size([2, 3, 64, 64]), torch.Size([2]))
    """

    profile: Profile
    encoder: nn.Module
    prior: Prior | FactorisedPrior
    decoder: nn.Module

    def forward(self, x: Tensor, position: Tensor) -> Result:
        """Code pixels ``x`` (N, 3, H, W), sides multiples of the block, at quality positions (N,) in [0, 1]."""
        weights = hat_weights(position, self.profile.anchors)
        coded = self.code(self.encoder(x, weights), weights)
        return Result(self.synthesise(coded.y, weights), coded.bits, coded.hyper_bits)

    @abstractmethod
    def code(self, y: Tensor, weights: Tensor) -> Coded:
        """Quantize C-vectors (N, C, h, w) and estimate their bits."""

    @abstractmethod
    def synthesise(self, y: Tensor, weights: Tensor) -> Tensor:
        """Decoded C-vectors (N, C, h, w) to pixels (N, 3, H, W)."""


class BlockCodec(Codec):
    """Small blocks under a hyperprior with a causal context."""

    profile: BlockProfile
    encoder: Encoder
    prior: Prior
    decoder: Decoder

    def __init__(self, profile: BlockProfile) -> None:
        super().__init__()
        self.profile = profile
        self.encoder = Encoder(profile)
        self.hyper_encoder = HyperEncoder(profile)
        self.prior = Prior(profile.prior)
        self.decoder = Decoder(profile)

    def code(self, y: Tensor, weights: Tensor) -> Coded:
        z = self.hyper(y, weights)
        with torch.autocast(y.device.type, enabled=False):
            return self.prior(y.float(), z.float(), weights)

    def hyper(self, y: Tensor, weights: Tensor) -> Tensor:
        """C-vectors (N, C, h, w) to hyper vectors (N, C_hyper, ceil(h/patch), ceil(w/patch))."""
        patch = self.profile.hyper_patch
        padding = (0, -y.shape[3] % patch, 0, -y.shape[2] % patch)
        return self.hyper_encoder(F.pad(self.prior.whiten(y), padding, mode="replicate"), weights)

    def synthesise(self, y: Tensor, weights: Tensor) -> Tensor:
        return self.decoder(y, self.prior.whiten(y), weights)


class TileCodec(Codec):
    """One C-vector for a large tile, under a prior a channel."""

    profile: TileProfile
    encoder: TileEncoder
    prior: FactorisedPrior
    decoder: TileDecoder

    def __init__(self, profile: TileProfile) -> None:
        super().__init__()
        self.profile = profile
        self.encoder = TileEncoder(profile)
        self.prior = FactorisedPrior(profile.channels, profile.anchors, profile.depth)
        self.decoder = TileDecoder(profile)

    def code(self, y: Tensor, weights: Tensor) -> Coded:
        with torch.autocast(y.device.type, enabled=False):
            return self.prior(y.float(), weights)

    def synthesise(self, y: Tensor, weights: Tensor) -> Tensor:
        return self.decoder(y, weights)


def build(profile: Profile) -> Codec:
    """The untrained codec that a profile describes."""
    if isinstance(profile, BlockProfile):
        return BlockCodec(profile)
    assert isinstance(profile, TileProfile)
    return TileCodec(profile)
