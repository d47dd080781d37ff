"""Crops as encoding really codes them, for a decoder that learns from nothing else."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from finola_codec.codec import payloads
from finola_codec.entropy.fixed import to_real
from finola_codec.nn.hyperprior import Coded
from finola_codec.quality import QUALITIES, position
from finola_codec.runtime.model import Model


def code_crops(model: Model, x: Tensor, drawn: Tensor) -> tuple[Coded, Tensor]:
    """Code crops ``x`` (N, 3, H, W) in [-0.5, 0.5] as :func:`finola_codec.encode` does by default, without a layer.

    In training, plain rounding and noise stand for what encoding does: it weighs what each number costs against what it
    brings, and refines vectors by gradient descent. A decoder can learn from that if all else stays as it is.

    The qualities are those nearest to the positions ``drawn`` (N,). Returns the decoded vectors (N, C, h, w) with their
    bits, and the positions of these qualities (N,).
    """
    pixels = ((x + 0.5) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()  # (N, H, W, 3)
    qualities = [1 + round(where * (QUALITIES - 1)) for where in drawn.tolist()]
    coded = [payloads(model, crop, quality) for crop, quality in zip(pixels, qualities, strict=True)]
    y = torch.from_numpy(np.stack([to_real(each.y) for each in coded])).permute(0, 3, 1, 2)  # (N, C, h, w)
    hyper_bits = torch.tensor([8.0 * len(each.hyper) for each in coded])
    bits = hyper_bits + torch.tensor([8.0 * len(each.vectors) for each in coded])
    at = torch.tensor([position(quality) for quality in qualities])
    return Coded(y.to(x.device), bits.to(x.device), hyper_bits.to(x.device)), at.to(x.device)
