"""The codec of the paper: one C-vector for a tile of 256 x 256 pixels, grown into its 16 x 16 map.

The C-vector z has a slot of C / 256 numbers for each position of the map. Where FINOLA's matrix A starts as
P - I, with P the permutation that moves every slot one to the left, the step z + A n(z) of a normalised
vector is P z: after x steps the slot of position x lies where that of the seed lay. So FINOLA starts as a
recurrence that hands each position its own slot, which is a working codec, and training adds to it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.nn.blocks import Stage, conv, zero_init
from finola_codec.nn.encoder import Trunk
from finola_codec.nn.finola import grow, grow_map
from finola_codec.nn.mobile_former import MobileFormer
from finola_codec.profiles import TileProfile


class ShiftedLowRank(nn.Module):
    """A matrix P - I + V U: P moves the slots by one, cyclically; V U is of low rank and starts at zero."""

    def __init__(self, profile: TileProfile, axis: int, by: int) -> None:
        super().__init__()
        self.slots = (profile.patch, profile.patch, profile.depth)
        self.axis, self.by = axis, by
        self.reduce = nn.Parameter(torch.randn(profile.rank, profile.channels) / math.sqrt(profile.channels))  # U
        self.expand = nn.Parameter(torch.zeros(profile.channels, profile.rank))  # V

    def forward(self, z: Tensor) -> Tensor:
        shifted = z.unflatten(-1, self.slots).roll(self.by, self.axis).flatten(-3)
        return shifted - z + F.linear(F.linear(z, self.reduce.to(z.dtype)), self.expand.to(z.dtype))


class TileFinola(nn.Module):
    """FINOLA on normalised vectors, whose mean and standard deviation the map gets back."""

    def __init__(self, profile: TileProfile) -> None:
        super().__init__()
        self.right = ShiftedLowRank(profile, axis=-2, by=-1)  # A
        self.left = ShiftedLowRank(profile, axis=-2, by=1)  # A'
        self.down = ShiftedLowRank(profile, axis=-3, by=-1)  # B
        self.up = ShiftedLowRank(profile, axis=-3, by=1)  # B'

    def forward(self, z: Tensor, height: int, width: int) -> Tensor:
        """Grow a grid of vectors (N, h, w, C) into the map (N, h * height, w * width, C)."""
        mean = z.mean(-1, keepdim=True)
        deviation = ((z - mean).square().mean(-1, keepdim=True) + 1e-6).sqrt()
        grown = grow((z - mean) / deviation, (self.right, self.left, self.down, self.up), height, width)
        mean, deviation = (v.repeat_interleave(height, 1).repeat_interleave(width, 2) for v in (mean, deviation))
        return grown * deviation + mean


class AttentionPool(nn.Module):
    """One layer of multi-head attention: a learned query for each slot of the C-vector reads the encoder's map.

    Learned logits make every query start by looking at the position of its slot. The output starts at zero.
    """

    def __init__(self, width: int, profile: TileProfile) -> None:
        super().__init__()
        positions, self.heads = profile.patch**2, profile.heads
        self.queries = nn.Parameter(torch.randn(self.heads, positions, width // self.heads) / math.sqrt(width))
        self.places = nn.Parameter(8 * torch.eye(positions).repeat(self.heads, 1, 1))
        self.keys_values = conv(width, 2 * width, 1)
        self.head = nn.Linear(width, profile.depth)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, f: Tensor) -> Tensor:
        """A map (N, W, patch, patch) to slots (N, patch^2, depth)."""
        keys, values = self.keys_values(f).flatten(2).unflatten(1, (2 * self.heads, -1)).mT.chunk(2, dim=1)
        logits = self.queries @ keys.mT / math.sqrt(keys.shape[-1]) + self.places
        pooled = logits.softmax(-1).to(values.dtype) @ values  # (N, heads, positions, W / heads)
        return self.head(pooled.transpose(1, 2).flatten(2))


class TileEncoder(nn.Module):
    """Tiles to C-vectors: a network and attention pooling, beside the Karhunen-Loeve transform of 16 x 16 blocks.

    The transform gives each slot its block's coefficients; an orthonormal cosine transform across the slots then
    gathers what they share, so that a prior a channel can tell large numbers from small ones.
    """

    cosine: Tensor

    def __init__(self, profile: TileProfile) -> None:
        super().__init__()
        self.profile = profile
        widths = profile.encoder_widths
        self.trunk: nn.Module
        if profile.encoder == "conv":
            self.trunk, width = Trunk(widths, profile.encoder_depths, profile.anchors), widths[-1]
        else:
            self.trunk = MobileFormer(profile.mobile_former_width, profile.anchors)
            width = self.trunk.width
        self.pool = AttentionPool(width, profile)
        self.shortcut = conv(3 * profile.stride**2, profile.depth, 1)
        self.register_buffer("cosine", cosine_basis(profile.patch), persistent=False)

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        """Pixels (N, 3, H, W) in [-0.5, 0.5], H and W multiples of the tile, to vectors (N, C, h, w)."""
        n, _, height, width = x.shape
        side = self.profile.block
        h, w = height // side, width // side
        tiles = x.reshape(n, 3, h, side, w, side).permute(0, 2, 4, 1, 3, 5).reshape(n * h * w, 3, side, side)
        detail = self.pool(self.trunk(tiles, mix[:, None].expand(n, h * w, -1).flatten(0, 1)))
        with torch.autocast(x.device.type, enabled=False):
            blocks = self.shortcut(F.pixel_unshuffle(tiles, self.profile.stride))
            slots = blocks.permute(0, 2, 3, 1) + detail.float().reshape(n * h * w, *blocks.shape[2:], -1)
            slots = torch.einsum("ur,vc,nrck->nuvk", self.cosine, self.cosine, slots)
        return slots.reshape(n, h, w, -1).permute(0, 3, 1, 2)


class TileDecoder(nn.Module):
    """C-vectors to pixels: FINOLA, then convolutions over the map of all tiles, so that seams are smoothed.

    Beside the convolutions runs a linear prediction of each block of pixels from its own slot and those of its
    eight neighbours, as they stand on the map.
    """

    cosine: Tensor
    whitening: Tensor

    def __init__(self, profile: TileProfile) -> None:
        super().__init__()
        w16, w8, w4 = profile.decoder_widths
        d16, d8, d4 = profile.decoder_depths
        self.profile = profile
        self.finola = TileFinola(profile)
        self.shortcut = nn.Conv2d(profile.depth, 3 * profile.stride**2, 3, padding=1, padding_mode="replicate")
        self.from_map = conv(profile.channels, w16, 1)
        self.stage16 = Stage(w16, d16, profile.anchors)
        self.up8 = conv(w16, 4 * w8, 1)
        self.stage8 = Stage(w8, d8, profile.anchors)
        self.up4 = conv(w8, 4 * w4, 1)
        self.stage4 = Stage(w4, d4, profile.anchors)
        self.head = zero_init(conv(w4, 3 * 4 * 4))
        self.register_buffer("cosine", cosine_basis(profile.patch), persistent=False)
        self.register_buffer("whitening", torch.ones(profile.depth))

    def forward(self, y: Tensor, mix: Tensor) -> Tensor:
        """Vectors (N, C, h, w) to pixels (N, 3, H, W), nominally in [-0.5, 0.5]."""
        return self.to_pixels(*self.to_map(y), mix)

    def to_map(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (N, C, h, w), each by itself, to the map at stride 16: the slot of each position, and features.

        These are (N, depth, H / 16, W / 16) and (N, widths[0], H / 16, W / 16).
        """
        profile, device = self.profile, y.device.type
        # The map is large, so its growth runs in bfloat16 wherever the convolutions do.
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else y.dtype
        middle = (profile.patch - 1) // 2
        first = (
            middle * profile.patch + middle
        ) * profile.depth  # where the seed's slot begins; at each position it holds that position's own
        with torch.autocast(device, enabled=False):
            grown = self._grow(y.float(), dtype)
            whitened = grown * self.whitening.to(dtype).repeat(profile.patch**2)[:, None, None]
        return grown[:, first : first + profile.depth].float(), F.relu(self.from_map(whitened))

    def to_pixels(self, slots: Tensor, features: Tensor, mix: Tensor) -> Tensor:
        """Return what :meth:`to_map` gives to pixels (N, 3, H, W); looks across tiles."""
        with torch.autocast(slots.device.type, enabled=False):
            blocks = self.shortcut(slots)
        f = self.stage16(features, mix)
        f = self.stage8(F.pixel_shuffle(self.up8(f), 2), mix)
        f = self.stage4(F.pixel_shuffle(self.up4(f), 2), mix)
        return F.pixel_shuffle(blocks, self.profile.stride) + F.pixel_shuffle(self.head(f).float(), 4)

    def _grow(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        n, _, h, w = y.shape
        patch = self.profile.patch
        spectrum = y.permute(0, 2, 3, 1).reshape(n * h * w, patch, patch, self.profile.depth)
        slots = torch.einsum("ur,vc,nuvk->nrck", self.cosine, self.cosine, spectrum)
        return grow_map(self.finola, slots.reshape(n, h, w, -1).permute(0, 3, 1, 2).to(dtype), patch)


def cosine_basis(size: int) -> Tensor:
    """Return the orthonormal DCT-II (frequencies, positions)."""
    frequency, position = torch.arange(size)[:, None], torch.arange(size)[None] + 0.5
    basis = torch.cos(math.pi / size * frequency * position) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis
