"""The differentiable form of the prior that :mod:`finola_codec.entropy.prior` describes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.entropy.prior import PriorSpec, Step, mean_and_scale
from finola_codec.entropy.scales import LOG2_MAX, LOG2_MIN, TAIL_LOG2_WEIGHT, tail_slope
from finola_codec.nn.blocks import QualityTable
from finola_codec.nn.finola import Finola, grow_map


@dataclass(frozen=True)
class Coded:
    """What coding a batch would give: decoded vectors (N, C, h, w) and bits of each image (N,)."""

    y: Tensor
    bits: Tensor
    hyper_bits: Tensor


class Prior(nn.Module):
    """Hyper vectors grown by FINOLA, and a causal context, to mean and scale of every number."""

    whitening: Tensor

    def __init__(self, spec: PriorSpec) -> None:
        super().__init__()
        self.spec = spec
        self.finola = Finola(spec.hyper_channels)
        self.weights = nn.ParameterDict()
        for name, shape in spec.shapes().items():
            std = 1 / math.sqrt(math.prod(shape[1:]))
            if name.endswith(("_mean", "_scale")):
                std = 0.0  # start from mean 0 and the scale in the bias
            self.weights[name] = nn.Parameter(torch.randn(shape) * std)
            self.weights[f"{name}_bias"] = nn.Parameter(torch.zeros(shape[0]))
        self.shifts = nn.ModuleDict({f"{s.name}_shift": QualityTable(spec.anchors, spec.width) for s in spec.steps()})
        self.log2_step = QualityTable(spec.anchors, spec.channels)
        self.hyper_log2_step = QualityTable(spec.anchors, spec.hyper_channels)
        self.hyper_log2_scale = QualityTable(spec.anchors, spec.hyper_channels)
        self.register_buffer("whitening", torch.ones(spec.channels))

    def whiten(self, y: Tensor) -> Tensor:
        """Bring the channels of ``y`` (N, >= C, h, w) to comparable sizes, for layers that read them."""
        return y * self.whitening[: y.shape[1], None, None]

    def forward(self, y: Tensor, z: Tensor, weights: Tensor) -> Coded:
        """Quantize ``y`` and ``z`` as the coder would, and estimate the bits that they take.

        Rounding is straight-through for what is decoded; the rate is that of values with uniform noise in
        the place of rounding while training, and of the rounded values otherwise.
        """
        ops = _TorchArithmetic(self, weights)
        z_step = self.hyper_log2_step(weights)[:, :, None, None].exp2()
        z_scale = self.hyper_log2_scale(weights)[:, :, None, None]
        z, z_bits = quantize(z, torch.zeros_like(z), z_step, z_scale, self.training)
        features = grow_map(self.finola, z, self.spec.hyper_patch)
        features = features[:, :, : y.shape[2], : y.shape[3]]

        log2_step = self.log2_step(weights)[:, :, None, None]
        even = _checkerboard(y)
        known = y[:, :0]
        bits = z_bits.sum((1, 2, 3))
        hyper_bits = bits
        for step in self.spec.steps():
            mean, scale = mean_and_scale(ops, step, features, known)
            channels = slice(step.start, step.stop)
            group_step = log2_step[:, channels]
            value, cost = quantize(y[:, channels], mean, group_step.exp2(), scale - group_step, self.training)
            mask = even if step.phase == 0 else 1 - even
            bits = bits + (cost * mask).sum((1, 2, 3))
            # Phase 0 leaves zeros at the other positions, as the decoder has them there; phase 1 fills them in.
            before = known[:, step.start :] if step.phase else 0.0
            known = torch.cat([known[:, : step.start], before + value * mask], dim=1)
        return Coded(known, bits, hyper_bits)


def quantize(y: Tensor, mean: Tensor, step: Tensor, log2_scale: Tensor, training: bool) -> tuple[Tensor, Tensor]:
    """What is decoded in the place of ``y``, rounded straight-through, and the bits of each number.

    While training the bits are those of values with uniform noise in the place of rounding.
    """
    residual = (y - mean) / step
    rounded = residual + (residual.round() - residual).detach()
    coded = residual + torch.rand_like(residual) - 0.5 if training else rounded
    return mean + step * rounded, residual_bits(coded, log2_scale)


class _TorchArithmetic:
    """Whole maps (N, channels, h, w) in float32; the positions of a phase are masked by the caller."""

    def __init__(self, prior: Prior, quality: Tensor) -> None:
        self.prior = prior
        self.quality = quality

    def select(self, features: Tensor, step: Step) -> Tensor:
        return features

    def linear(self, name: str, x: Tensor) -> Tensor:
        weights = self.prior.weights
        return F.conv2d(x, weights[name][:, :, None, None], weights[f"{name}_bias"])

    def context(self, name: str, known: Tensor, step: Step) -> Tensor:
        weights = self.prior.weights
        return F.conv2d(self.prior.whiten(known), weights[name], weights[f"{name}_bias"], padding="same")

    def shift(self, name: str, x: Tensor) -> Tensor:
        return x + self.prior.shifts[name](self.quality)[:, :, None, None]

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def relu(self, x: Tensor) -> Tensor:
        return F.relu(x)


def _checkerboard(y: Tensor) -> Tensor:
    rows = torch.arange(y.shape[2], device=y.device)[:, None]
    columns = torch.arange(y.shape[3], device=y.device)[None, :]
    return ((rows + columns + 1) % 2).to(y.dtype)


def residual_bits(residual: Tensor, log2_scale: Tensor) -> Tensor:
    """Bits of integer (or noisy) residuals under the distributions of :mod:`finola_codec.entropy.scales`."""
    scale = log2_scale.clamp(LOG2_MIN, LOG2_MAX).exp2()
    distance = residual.abs()
    # Both arguments on the same tail, where erfc keeps its precision.
    width = scale * math.sqrt(2)
    gaussian = 0.5 * (torch.erfc((distance - 0.5) / width) - torch.erfc((distance + 0.5) / width))
    tail = torch.exp2(TAIL_LOG2_WEIGHT - distance / tail_slope(scale)) / (scale + 1)
    return -torch.log2(gaussian + tail)
