"""The codec as one trainable module."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.nn import klt
from finola_codec.nn.blocks import mix_of
from finola_codec.nn.decoder import Decoder
from finola_codec.nn.encoder import Encoder, HyperEncoder
from finola_codec.nn.factorised import TrainableFactorised
from finola_codec.nn.hyperprior import Coded, TrainableHyperprior
from finola_codec.nn.tile import TileDecoder, TileEncoder
from finola_codec.profiles import BlockProfile, Profile, TileProfile
from finola_codec.runtime.manifest import DECODER, DECODER_GRID, ENCODER, ENCODER_GRID, GROWTH, HYPER_ENCODER, TUNED


class Result(NamedTuple):
    """A coded batch: pixels (N, 3, H, W) in [-0.5, 0.5], and the bits of each image and of its hyper vectors (N,)."""

    x: Tensor
    bits: Tensor
    hyper_bits: Tensor


class Graph(NamedTuple):
    """One ONNX file of a model: a function of a map (1, channels, h, w) and a mix (1, anchors) of quality."""

    function: Callable[[Tensor, Tensor], Tensor]
    channels: int  # channels of the map that goes in
    multiple: int = 1  # the sides of that map are multiples of this


class Codec(nn.Module, ABC):
    """Encoder, prior and decoder of one profile; :func:`build` makes them.

    >>> from finola_codec.profiles import FINOLA_TINY
    >>> result = build(FINOLA_TINY)(torch.rand(2, 3, 64, 64) - 0.5, torch.tensor([0.1, 0.9]))
    >>> result.x.shape, result.bits.shape
    (torch.Size([2, 3, 64, 64]), torch.Size([2]))
    """

    profile: Profile
    encoder: nn.Module
    prior: TrainableHyperprior | TrainableFactorised
    decoder: nn.Module

    def forward(self, x: Tensor, position: Tensor, coded: Coded | None = None) -> Result:
        """Code pixels ``x`` (N, 3, H, W), sides multiples of the block, at quality positions (N,) in [0, 1].

        Where they have been ``coded`` before, that is only decoded.
        """
        mix = mix_of(position, self.profile.anchors)  # (N, anchors)
        coded = coded or self.code(self.encoder(x, mix), mix)
        return Result(self.synthesise(coded.y, mix), coded.bits, coded.hyper_bits)

    @abstractmethod
    def code(self, y: Tensor, mix: Tensor) -> Coded:
        """Quantize C-vectors (N, C, h, w) and estimate their bits."""

    @abstractmethod
    def synthesise(self, y: Tensor, mix: Tensor) -> Tensor:
        """Decoded C-vectors (N, C, h, w) to pixels (N, 3, H, W)."""

    @abstractmethod
    def start_from(self, crops: Tensor) -> None:
        """Set linear shortcuts, quantizer steps and scales from the Karhunen-Loeve transform of ``crops``.

        These are (N, 3, H, W) in [-0.5, 0.5], with sides that are multiples of the block. The codec works from
        then on, and training improves it.
        """

    @abstractmethod
    def graphs(self) -> dict[str, Graph]:
        """Return what is exported, by the name of its ONNX file."""

    def tuned(self) -> tuple[nn.Module, ...]:
        """Return the parts of the encoder that each metric of ``runtime.manifest.TUNED`` has of its own, if any."""
        return ()

    def tuned_graphs(self, tune: str) -> dict[str, Graph]:
        """Return what is exported of :meth:`tuned` for the metric ``tune``, by the name of its ONNX file."""
        return {}


class BlockCodec(Codec):
    """Small blocks under a hyperprior with a causal context."""

    profile: BlockProfile
    encoder: Encoder
    prior: TrainableHyperprior
    decoder: Decoder

    def __init__(self, profile: BlockProfile) -> None:
        super().__init__()
        self.profile = profile
        self.encoder = Encoder(profile)
        self.hyper_encoder = HyperEncoder(profile)
        self.prior = TrainableHyperprior(profile.prior)
        self.decoder = Decoder(profile)

    def code(self, y: Tensor, mix: Tensor) -> Coded:
        patch = self.profile.hyper_patch
        padding = (0, -y.shape[3] % patch, 0, -y.shape[2] % patch)
        z = self.hyper(F.pad(y, padding, mode="replicate"), mix)
        with torch.autocast(y.device.type, enabled=False):
            return self.prior(y.float(), z.float(), mix)

    def hyper(self, y: Tensor, mix: Tensor) -> Tensor:
        """C-vectors (N, C, h, w), sides multiples of the patch, to hyper vectors (N, C_hyper, h/patch, w/patch)."""
        return self.hyper_encoder(self.prior.whiten(y), mix)

    def synthesise(self, y: Tensor, mix: Tensor) -> Tensor:
        return self.decoder(y, self.prior.whiten(y), mix)

    @torch.no_grad()
    def start_from(self, crops: Tensor) -> None:
        klt.start_blocks(self.profile, self.encoder, self.prior, self.decoder, crops)
        # Hyper vectors that would all round to zero would teach the prior nothing.
        some = crops[:64]
        mix = torch.full((len(some), self.profile.anchors), 1 / self.profile.anchors)
        self.hyper_encoder.start_at(klt.HYPER_STD, self.prior.whiten(self.encoder(some, mix)), mix)
        self.prior.hyper_log2_scale.rows.fill_(klt.HYPER_LOG2_SCALE)

    def tuned(self) -> tuple[nn.Module, ...]:
        """All of the encoder but its linear shortcut, which is a third of its weights."""
        return tuple(part for part in self.encoder.children() if part is not self.encoder.lapped)

    def tuned_graphs(self, tune: str) -> dict[str, Graph]:
        trunk, grid = TUNED[tune]
        return {trunk: Graph(self.encoder.to_grid, 3, self.profile.block), grid: self.graphs()[ENCODER_GRID]}

    def graphs(self) -> dict[str, Graph]:
        """What sees far has graphs of its own: on the grid of blocks a wide margin costs little, in pixels much."""
        profile, c = self.profile, self.profile.channels

        def to_grid(x: Tensor, mix: Tensor) -> Tensor:
            return torch.cat([self.encoder.shortcut(x), self.encoder.to_grid(x, mix)], dim=1)

        def seeds(y: Tensor, mix: Tensor) -> Tensor:
            return self.decoder.seeds(self.prior.whiten(y), mix)

        def to_pixels(blocks: Tensor, mix: Tensor) -> Tensor:
            return self.decoder.to_pixels(blocks[:, :c], blocks[:, c:], mix)

        return {
            ENCODER: Graph(to_grid, 3, profile.block),
            ENCODER_GRID: Graph(self.encoder.detail, profile.encoder_widths[-1]),
            HYPER_ENCODER: Graph(self.hyper, c, profile.hyper_patch),
            DECODER_GRID: Graph(seeds, c),
            DECODER: Graph(to_pixels, c + profile.seed_channels),
        }


class TileCodec(Codec):
    """One C-vector for a large tile, under a factorised prior."""

    profile: TileProfile
    encoder: TileEncoder
    prior: TrainableFactorised
    decoder: TileDecoder

    def __init__(self, profile: TileProfile) -> None:
        super().__init__()
        self.profile = profile
        self.encoder = TileEncoder(profile)
        self.prior = TrainableFactorised(profile.channels, profile.anchors, profile.depth)
        self.decoder = TileDecoder(profile)

    def code(self, y: Tensor, mix: Tensor) -> Coded:
        with torch.autocast(y.device.type, enabled=False):
            return self.prior(y.float(), mix)

    def synthesise(self, y: Tensor, mix: Tensor) -> Tensor:
        return self.decoder(y, mix)

    @torch.no_grad()
    def start_from(self, crops: Tensor) -> None:
        klt.start_tiles(self.profile, self.encoder, self.prior, self.decoder, crops)

    def graphs(self) -> dict[str, Graph]:
        """The decoder is exported in two: growth takes each tile by itself, convolutions look across tiles."""
        profile = self.profile
        map_channels = profile.depth + profile.decoder_widths[0]

        def grow(y: Tensor, mix: Tensor) -> Tensor:
            return torch.cat(self.decoder.to_map(y), dim=1)

        def to_pixels(grown: Tensor, mix: Tensor) -> Tensor:
            return self.decoder.to_pixels(grown[:, : profile.depth], grown[:, profile.depth :], mix)

        return {
            ENCODER: Graph(self.encoder.forward, 3, profile.block),
            GROWTH: Graph(grow, profile.channels),
            DECODER: Graph(to_pixels, map_channels),
        }


CODECS: dict[type[Profile], Callable[..., Codec]] = {BlockProfile: BlockCodec, TileProfile: TileCodec}


def build(profile: Profile) -> Codec:
    """Return the untrained codec that a profile describes."""
    return CODECS[type(profile)](profile)
