"""The factorised prior of :mod:`finola_codec.entropy.factorised`, in the form that training differentiates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from finola_codec.entropy.factorised import ExactFactorised
from finola_codec.entropy.scales import (
    ACTIVITY_BINS,
    ACTIVITY_TABLE,
    BINS_PER_OCTAVE,
    LOG2_MIN,
    MAX_ACTIVITY,
)
from finola_codec.entropy.tables import Tables
from finola_codec.nn.blocks import QualityTable
from finola_codec.nn.hyperprior import Coded, quantize, residual_bits
from finola_codec.nn.integers import Arrays, compact, quantizer_steps, scale_bins


class TrainableFactorised(nn.Module):
    """Every channel is coded on its own, by a scale for each quality, with a mean of zero that the encoder sees to."""

    def __init__(self, channels: int, anchors: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.log2_step = QualityTable(anchors, channels)
        self.log2_scale = QualityTable(anchors, channels)  # for a tile of activity zero, in quantizer steps

    def forward(self, y: Tensor, mix: Tensor) -> Coded:
        """Quantize ``y`` (N, C, h, w) as the coder would, and estimate the bits that it takes."""
        step, log2_scale = (table(mix)[:, :, None, None] for table in (self.log2_step, self.log2_scale))
        activity, activity_bits = self._activity((y / step.exp2()).round(), log2_scale)
        moved = log2_scale + activity.repeat(1, y.shape[1] // self.depth, 1, 1)
        value, bits = quantize(y, torch.zeros_like(y), step.exp2(), moved, self.training)
        return Coded(value, bits.sum((1, 2, 3)) + activity_bits, torch.zeros(len(y), device=y.device))

    def to_integers(self) -> Arrays:
        """Round the trained tables to the arrays of :class:`finola_codec.entropy.factorised.ExactFactorised`."""
        return {"step": compact(quantizer_steps(self.log2_step)), "bin": compact(scale_bins(self.log2_scale))}

    def from_integers(self, arrays: Arrays) -> None:
        """Nothing: the tables by quality, from which the arrays follow, are all that there is."""

    def exact(self, arrays: Arrays, tables: Tables) -> ExactFactorised:
        """Return the coder of ``arrays``."""
        return ExactFactorised(arrays, tables, self.depth)

    @torch.no_grad()
    def _activity(self, residuals: Tensor, log2_scale: Tensor) -> tuple[Tensor, Tensor]:
        """Return the activity (N, depth, h, w), in octaves, with the fewest bits, and its own bits (N,)."""
        levels = torch.arange(-MAX_ACTIVITY, MAX_ACTIVITY + 1, dtype=torch.float32, device=residuals.device)
        own = residual_bits(levels, torch.tensor(LOG2_MIN + ACTIVITY_TABLE / BINS_PER_OCTAVE, device=levels.device))
        octaves = levels * (ACTIVITY_BINS / BINS_PER_OCTAVE)
        costs = [
            residual_bits(residuals, log2_scale + octave).unflatten(1, (-1, self.depth)).sum(1) + bits
            for octave, bits in zip(octaves, own, strict=True)
        ]
        chosen = torch.stack(costs).argmin(0)
        return octaves[chosen], own[chosen].sum((1, 2, 3))
