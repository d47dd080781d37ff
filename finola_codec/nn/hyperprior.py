"""The hyperprior that :mod:`finola_codec.entropy.prior` describes, in the form that training differentiates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from finola_codec.entropy.fixed import ACTIVATION_BITS, ONE, WEIGHT_BITS
from finola_codec.entropy.fixed import quantize as to_fixed
from finola_codec.entropy.hyperprior import DIRECTIONS, ExactHyperprior
from finola_codec.entropy.prior import CodingStep, Layer, PriorSpec, mean_and_scale
from finola_codec.entropy.scales import LOG2_MAX, LOG2_MIN, TAIL_LOG2_WEIGHT, tail_slope
from finola_codec.entropy.tables import Tables
from finola_codec.nn.blocks import QualityTable
from finola_codec.nn.finola import Finola, grow_map
from finola_codec.nn.integers import Arrays, compact, quantizer_steps, scale_bins, to_numpy, to_tensor


@dataclass(frozen=True)
class Coded:
    """What coding a batch would give: decoded vectors (N, C, h, w) and bits of each image (N,)."""

    y: Tensor
    bits: Tensor
    hyper_bits: Tensor


class TrainableHyperprior(nn.Module):
    """Hyper vectors grown by FINOLA, and a causal context, to mean and scale of every number."""

    whitening: Tensor

    def __init__(self, spec: PriorSpec) -> None:
        super().__init__()
        self.spec = spec
        self.finola = Finola(spec.hyper_channels)
        self.weights = nn.ParameterDict()
        for name, layer in spec.layers().items():
            std = 0.0 if layer.starts_at_zero else 1 / math.sqrt(math.prod(layer.shape[1:]))
            self.weights[name] = nn.Parameter(torch.randn(layer.shape) * std)
            self.weights[f"{name}_bias"] = nn.Parameter(torch.zeros(layer.shape[0]))
        self.shifts = nn.ModuleDict({name: QualityTable(spec.anchors, spec.width) for name in spec.shifts()})
        self.log2_step = QualityTable(spec.anchors, spec.channels)
        self.hyper_log2_step = QualityTable(spec.anchors, spec.hyper_channels)
        self.hyper_log2_scale = QualityTable(spec.anchors, spec.hyper_channels)
        self.register_buffer("whitening", torch.ones(spec.channels))

    def whiten(self, y: Tensor) -> Tensor:
        """Bring the channels of ``y`` (N, >= C, h, w) to comparable sizes, for layers that read them."""
        return y * self.whitening[: y.shape[1], None, None]

    def forward(self, y: Tensor, z: Tensor, mix: Tensor) -> Coded:
        """Quantize ``y`` and ``z`` as the coder would, and estimate the bits that they take.

        Rounding is straight-through for what is decoded; the rate is that of values with uniform noise in
        the place of rounding while training, and of the rounded values otherwise.
        """
        ops = TorchArithmetic(self, mix)
        z_step = self.hyper_log2_step(mix)[:, :, None, None].exp2()
        z_scale = self.hyper_log2_scale(mix)[:, :, None, None]
        z, z_bits = quantize(z, torch.zeros_like(z), z_step, z_scale, self.training)
        features = grow_map(self.finola, z, self.spec.hyper_patch)
        features = features[:, :, : y.shape[2], : y.shape[3]]

        log2_step = self.log2_step(mix)[:, :, None, None]
        even = _checkerboard(y)
        known = y[:, :0]
        bits = z_bits.sum((1, 2, 3))
        hyper_bits = bits
        for step in self.spec.coding_steps():
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

    def to_integers(self) -> Arrays:
        """Round the trained numbers to the arrays of :class:`finola_codec.entropy.hyperprior.ExactHyperprior`."""
        arrays = {}
        for name, layer in self.spec.layers().items():
            weights = to_numpy(self.weights[name]) * self._whitening_of(layer)
            arrays[name] = to_fixed(weights, WEIGHT_BITS)
            arrays[f"{name}_bias"] = to_fixed(to_numpy(self.weights[f"{name}_bias"]), ACTIVATION_BITS)
        for name, table in self.shifts.items():
            arrays[name] = to_fixed(to_numpy(table.rows), ACTIVATION_BITS)
        for direction in DIRECTIONS:
            arrays[f"finola_{direction}"] = to_fixed(to_numpy(getattr(self.finola, direction)), WEIGHT_BITS)
        arrays["step"] = quantizer_steps(self.log2_step)
        arrays["log2_step"] = to_fixed(np.log2(arrays["step"] / ONE), ACTIVATION_BITS)
        arrays["hyper_step"] = quantizer_steps(self.hyper_log2_step)
        arrays["hyper_bin"] = scale_bins(self.hyper_log2_scale)
        return {name: compact(a) for name, a in arrays.items()}

    @torch.no_grad()
    def from_integers(self, arrays: Arrays) -> None:
        """Take the weights back from :meth:`to_integers`; whitening and tables by quality must be set already."""
        for name, layer in self.spec.layers().items():
            weights = to_tensor(arrays[name], WEIGHT_BITS)
            self.weights[name].copy_(weights / torch.from_numpy(self._whitening_of(layer)))
            self.weights[f"{name}_bias"].copy_(to_tensor(arrays[f"{name}_bias"], ACTIVATION_BITS))
        for name, table in self.shifts.items():
            cast(QualityTable, table).rows.copy_(to_tensor(arrays[name], ACTIVATION_BITS))
        for direction in DIRECTIONS:
            getattr(self.finola, direction).copy_(to_tensor(arrays[f"finola_{direction}"], WEIGHT_BITS))

    def exact(self, arrays: Arrays, tables: Tables) -> ExactHyperprior:
        """Return the coder of ``arrays``."""
        return ExactHyperprior(self.spec, arrays, tables)

    def _whitening_of(self, layer: Layer) -> NDArray[np.float64]:
        """Return what the exact form has in the weights of ``layer``, because only training whitens the latent."""
        if not layer.reads_latent:
            return np.ones(())
        return to_numpy(self.whitening)[: layer.shape[1], None, None]  # against (out, in, kernel, kernel)


def quantize(y: Tensor, mean: Tensor, step: Tensor, log2_scale: Tensor, training: bool) -> tuple[Tensor, Tensor]:
    """Return what is decoded in the place of ``y``, rounded straight-through, and the bits of each number.

    While training the bits are those of values with uniform noise in the place of rounding.
    """
    residual = (y - mean) / step
    rounded = residual + (residual.round() - residual).detach()
    coded = residual + torch.rand_like(residual) - 0.5 if training else rounded
    return mean + step * rounded, residual_bits(coded, log2_scale)


class TorchArithmetic:
    """Whole maps (N, channels, h, w) in float32; the positions of a phase are masked by the caller."""

    def __init__(self, prior: TrainableHyperprior, mix: Tensor) -> None:
        self.prior = prior
        self.mix = mix

    def select(self, features: Tensor, step: CodingStep) -> Tensor:
        return features

    def linear(self, name: str, x: Tensor) -> Tensor:
        weights = self.prior.weights
        return F.conv2d(x, weights[name][:, :, None, None], weights[f"{name}_bias"])

    def context(self, name: str, known: Tensor, step: CodingStep) -> Tensor:
        weights = self.prior.weights
        return F.conv2d(self.prior.whiten(known), weights[name], weights[f"{name}_bias"], padding="same")

    def shift(self, name: str, x: Tensor) -> Tensor:
        return x + self.prior.shifts[name](self.mix)[:, :, None, None]

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
    # Both arguments lie on the same tail, where erfc keeps its precision.
    width = scale * math.sqrt(2)
    gaussian = 0.5 * (torch.erfc((distance - 0.5) / width) - torch.erfc((distance + 0.5) / width))
    tail = torch.exp2(TAIL_LOG2_WEIGHT - distance / tail_slope(scale)) / (scale + 1)
    return -torch.log2(gaussian + tail)
