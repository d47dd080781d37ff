"""What encoder and decoder are built from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.quality import hat


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Return a convolution that keeps the size (odd kernel, stride 1) or divides it by its kernel (kernel = stride)."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2 if stride == 1 else 0)


def zero_init(layer: nn.Conv2d) -> nn.Conv2d:
    """Start ``layer`` at zero, so that what it adds to begins unchanged."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class QualityTable(nn.Module):
    """One learned row for each anchor in log lambda, interpolated linearly in between.

    >>> QualityTable(anchors=8, channels=3)(mix_of(torch.tensor([0.0, 0.4]), 8)).shape
    torch.Size([2, 3])
    """

    def __init__(self, anchors: int, channels: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.zeros(anchors, channels))

    def forward(self, mix: Tensor) -> Tensor:
        """``mix`` (N, anchors), each row summing to one, to (N, channels) in float32."""
        return mix.float() @ self.rows.float()


def mix_of(position: Tensor, anchors: int) -> Tensor:
    """Return the mixes (N, anchors) of positions (N,) in [0, 1], as :mod:`finola_codec.quality` has them."""
    index = torch.arange(anchors, dtype=torch.float32, device=position.device)
    return hat(position[:, None] * (anchors - 1) - index)


class Bottleneck(nn.Module):
    """Residual block: 1x1 to half the width, 3x3, 1x1 back; starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = conv(width, width // 2, 1)
        self.mix = conv(width // 2, width // 2, 3)
        self.expand = zero_init(conv(width // 2, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.expand(F.relu(self.mix(F.relu(self.reduce(x)))))


class Stage(nn.Module):
    """Residual blocks at one resolution, told the quality by a learned shift of their input."""

    def __init__(self, width: int, depth: int, anchors: int) -> None:
        super().__init__()
        self.shift = QualityTable(anchors, width)
        self.blocks = nn.Sequential(*(Bottleneck(width) for _ in range(depth)))

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        return self.blocks(x + self.shift(mix)[:, :, None, None].to(x.dtype))
