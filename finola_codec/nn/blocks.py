"""What encoder and decoder are built from."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.quality import hat

M = TypeVar("M", bound=nn.Module)


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Return a convolution that keeps the size (odd kernel, stride 1) or divides it by its kernel (kernel = stride)."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2 if stride == 1 else 0)


def zero_init(layer: nn.Conv2d) -> nn.Conv2d:
    """Start ``layer`` at zero, so that what it adds to begins unchanged."""
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class BlockConv(nn.Conv2d):
    """A convolution over the blocks that pixels form, ``block`` on a side; the pixels of a block are its channels.

    >>> BlockConv(3, 8, kernel=2, block=16)(torch.rand(1, 3, 64, 96)).shape
    torch.Size([1, 8, 3, 5])
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, block: int, padding: int = 0) -> None:
        super().__init__(inputs * block**2, outputs, kernel, padding=padding)
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pixel_unshuffle(x, self.block))

    def for_inference(self) -> nn.Conv2d:
        """Return an equivalent convolution of the pixels, which is faster to run and slower to train."""
        weight, side = F.pixel_shuffle(self.weight, self.block), self.block * self.kernel_size[0]
        padding = self.block * int(self.padding[0])
        return _with(nn.Conv2d(weight.shape[1], self.out_channels, side, self.block, padding), weight, self.bias)

    def training_weight(self, weight: Tensor) -> Tensor:
        """Bring the weight of the equivalent convolution back into the form that is trained."""
        return F.pixel_unshuffle(weight, self.block)


class Transposed(nn.ConvTranspose2d):
    """A transposed convolution of stride 1 whose input is padded by one less than the kernel's side."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel - 1)

    def for_inference(self) -> nn.Conv2d:
        """Return an equivalent convolution, its kernel turned around, which is faster to run and slower to train."""
        layer = nn.Conv2d(self.in_channels, self.out_channels, self.kernel_size[0])
        return _with(layer, self.weight.flip(2, 3).transpose(0, 1), self.bias)

    def training_weight(self, weight: Tensor) -> Tensor:
        """Bring the weight of the equivalent convolution back into the form that is trained."""
        return weight.flip(2, 3).transpose(0, 1)


def _with(layer: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    layer.weight = nn.Parameter(weight.detach().clone())
    layer.bias = None if bias is None else nn.Parameter(bias.detach().clone())
    return layer


def two_forms(module: nn.Module) -> Iterator[tuple[str, BlockConv | Transposed]]:
    """Return the layers within ``module`` that have a form to train and another to run, and their names."""
    for name, layer in module.named_modules():
        if isinstance(layer, (BlockConv, Transposed)):
            yield name, layer


def for_inference(module: M) -> M:
    """Return a copy of ``module`` that computes the same, with its layers in the form that is fastest to run."""
    copy = deepcopy(module)
    for name, layer in list(two_forms(copy)):
        copy.set_submodule(name, layer.for_inference())
    return copy


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

    def as_map(self, mix: Tensor) -> Tensor:
        """The same as a map of one position (N, channels, 1, 1).

        A convolution makes it, so that it has the layout that ONNX Runtime gives maps: sums with it then cost nothing.
        """
        return F.conv2d(mix[:, :, None, None], self.rows.T[:, :, None, None])


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
        return self.blocks(x + self.shift.as_map(mix).to(x.dtype))
