"""The encoder: pixels to one C-vector a block."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.nn.blocks import BlockConv, Stage, conv, zero_init
from finola_codec.profiles import BlockProfile


class Trunk(nn.Module):
    """Residual blocks at stride 4, 8 and 16."""

    def __init__(self, widths: tuple[int, int, int], depths: tuple[int, int, int], anchors: int) -> None:
        super().__init__()
        w4, w8, w16 = widths
        d4, d8, d16 = depths
        self.stem = BlockConv(3, w4, kernel=3, block=4, padding=1)
        self.stage4 = Stage(w4, d4, anchors)
        self.down8 = conv(w4, w8, 2, 2)
        self.stage8 = Stage(w8, d8, anchors)
        self.down16 = conv(w8, w16, 2, 2)
        self.stage16 = Stage(w16, d16, anchors)

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        """Pixels (N, 3, H, W) to a map (N, W16, H/16, W/16)."""
        return self.stage16(self.to_grid(x, mix), mix)

    def to_grid(self, x: Tensor, mix: Tensor) -> Tensor:
        """Pixels (N, 3, H, W) to what enters the last stage (N, W16, H/16, W/16)."""
        f = self.stage4(self.stem(x), mix)
        f = self.stage8(self.down8(f), mix)
        return self.down16(f)


class Encoder(Trunk):
    """Convolutions beside a linear shortcut, which is a lapped transform with a window of 2 x 2 blocks for each block.

    It starts as the Karhunen-Loeve transform of a block, with nothing of its neighbours. The last layer of the
    convolutions starts at zero, so an untrained encoder is the shortcut alone: already a working transform.
    """

    def __init__(self, profile: BlockProfile) -> None:
        super().__init__(profile.encoder_widths, profile.encoder_depths, profile.anchors)
        self.block = profile.block
        self.lapped = BlockConv(3, profile.channels, kernel=2, block=profile.block)  # windows shifted by half a block
        self.head = zero_init(conv(profile.encoder_widths[-1], profile.channels, 1))

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        """Pixels (N, 3, H, W) in [-0.5, 0.5], H and W multiples of 16, to vectors (N, C, H/16, W/16)."""
        return self.shortcut(x) + self.detail(self.to_grid(x, mix), mix)

    def shortcut(self, x: Tensor) -> Tensor:
        """Pixels (N, 3, H, W) to their lapped transform (N, C, H/16, W/16)."""
        with torch.autocast(x.device.type, enabled=False):  # bfloat16 is coarser than the finest quantizer steps
            return self.lapped(F.pad(x, (self.block // 2,) * 4, mode="reflect"))

    def detail(self, blocks: Tensor, mix: Tensor) -> Tensor:
        """What :meth:`to_grid` gives (N, W16, h, w) to what is added to the lapped transform (N, C, h, w)."""
        return self.head(self.stage16(blocks, mix)).float()


class HyperEncoder(nn.Module):
    """C-vectors to one hyper vector for each ``hyper_patch`` x ``hyper_patch`` of them."""

    def __init__(self, profile: BlockProfile) -> None:
        super().__init__()
        c, width = profile.channels, profile.encoder_widths[-1]
        self.stem = conv(c, width, 1)
        self.stage = Stage(width, 1, profile.anchors)
        halvings = profile.hyper_patch.bit_length() - 1
        self.downs = nn.ModuleList(conv(width, width, 2, 2) for _ in range(halvings))
        self.head = conv(width, profile.hyper_channels, 1)

    def forward(self, y: Tensor, mix: Tensor) -> Tensor:
        """Whitened vectors (N, C, h, w), h and w multiples of the patch, to (N, C_hyper, h/patch, w/patch)."""
        f = self.stage(self.stem(y), mix)
        for down in self.downs:
            f = F.relu(down(f))
        return self.head(f)

    @torch.no_grad()
    def start_at(self, std: float, y: Tensor, mix: Tensor) -> None:
        """Scale the last layer so that the hyper vectors of ``y`` have this standard deviation."""
        self.head.weight.mul_(std / self(y, mix).std())
