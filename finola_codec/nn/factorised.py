"""The differentiable form of :mod:`finola_codec.entropy.factorised`: a scale a channel and quality."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from finola_codec.nn.blocks import QualityTable
from finola_codec.nn.prior import Coded, quantize


class FactorisedPrior(nn.Module):
    """Every channel is coded on its own, with a mean of zero: the encoder's bias can see to that."""

    def __init__(self, channels: int, anchors: int) -> None:
        super().__init__()
        self.log2_step = QualityTable(anchors, channels)
        self.log2_scale = QualityTable(anchors, channels)  # in quantizer steps

    def forward(self, y: Tensor, weights: Tensor) -> Coded:
        """Quantize ``y`` (N, C, h, w) as the coder would, and estimate the bits that it takes."""
        step, log2_scale = (table(weights)[:, :, None, None] for table in (self.log2_step, self.log2_scale))
        value, bits = quantize(y, torch.zeros_like(y), step.exp2(), log2_scale, self.training)
        return Coded(value, bits.sum((1, 2, 3)), torch.zeros(len(y), device=y.device))
