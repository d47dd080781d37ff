"""The decoder: C-vectors to pixels, by way of FINOLA."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.nn.blocks import Stage, Transposed, conv, zero_init
from finola_codec.nn.finola import Finola, grow_map
from finola_codec.profiles import BlockProfile


class Decoder(nn.Module):
    """Vectors see their neighbours, FINOLA grows each into its patch, and convolutions turn the map into pixels.

    The convolutions' receptive field crosses block borders, so there are no seams. Beside them runs the
    inverse of the encoder's lapped transform: windows of two blocks a side that overlap and add up.
    """

    def __init__(self, profile: BlockProfile) -> None:
        super().__init__()
        c, seed, width, anchors = profile.channels, profile.seed_channels, profile.decoder_width, profile.anchors
        self.patch = profile.patch
        self.stride = profile.stride
        self.block = profile.block
        self.lapped = Transposed(c, 3 * profile.block**2, 2)  # to 2 x 2 blocks shifted by half
        self.refine = Stage(c, profile.refine_depth, anchors)
        self.to_seed = conv(c, seed, 1)
        self.finola = Finola(seed)
        self.from_map = conv(seed, width, 1)
        self.stage = Stage(width, profile.decoder_depth, anchors)
        self.head = zero_init(conv(width, 3 * profile.stride**2))

    def forward(self, y: Tensor, whitened: Tensor, mix: Tensor) -> Tensor:
        """Vectors (N, C, h, w), natural and whitened, to pixels (N, 3, 16 h, 16 w), nominally in [-0.5, 0.5]."""
        return self.to_pixels(y, self.seeds(whitened, mix), mix)

    def seeds(self, whitened: Tensor, mix: Tensor) -> Tensor:
        """Whitened vectors (N, C, h, w) to what FINOLA grows from (N, C_seed, h, w)."""
        return self.to_seed(self.refine(whitened, mix))

    def to_pixels(self, y: Tensor, seeds: Tensor, mix: Tensor) -> Tensor:
        """Vectors (N, C, h, w) and seeds (N, C_seed, h, w) to pixels (N, 3, 16 h, 16 w)."""
        features = grow_map(self.finola, seeds, self.patch)
        features = self.stage(F.relu(self.from_map(features)), mix)
        detail = self.head(features)
        with torch.autocast(y.device.type, enabled=False):  # bfloat16 is coarser than a level of 255
            half = self.block // 2
            windows = F.pixel_shuffle(self.lapped(F.pad(y, (1, 1, 1, 1), mode="replicate")), self.block)
            return windows[:, :, half:-half, half:-half] + F.pixel_shuffle(detail.float(), self.stride)
