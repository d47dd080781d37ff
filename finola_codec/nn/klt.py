"""Start a codec from the Karhunen-Loeve transform of its training set, so that training begins at a working codec."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from finola_codec.nn.model import Codec
from finola_codec.nn.profiles import Profile

HYPER_STD = 0.6  # of the hyper vectors, in quantizer steps
STEP_STRETCH = 1.5  # over the high-rate optimum; closer to the optimum at low rates


@torch.no_grad()
def init_from_crops(codec: Codec, crops: Tensor) -> None:
    """Set shortcuts, steps and scales of ``codec`` from crops (N, 3, H, W) in [-0.5, 0.5], sides multiples of 64."""
    profile, prior = codec.profile, codec.prior
    blocks = F.unfold(crops, profile.block, stride=profile.block)  # (N, 3 * block^2, blocks of a crop)
    basis, std = _klt(blocks.transpose(1, 2).flatten(0, 1).double(), profile.channels)  # (C, 3 * block^2), (C,)
    codec.encoder.shortcut.weight.copy_(basis[:, :, None, None] * profile.unit)
    codec.decoder.shortcut.weight.copy_(basis.T[:, :, None, None] / profile.unit)
    for shortcut in (codec.encoder.shortcut, codec.decoder.shortcut):
        assert shortcut.bias is not None
        shortcut.bias.zero_()

    std = std * profile.unit
    prior.whitening.copy_(1 / (1 + std**2).sqrt())
    for step in prior.spec.steps():
        prior.weights[f"{step.name}_scale_bias"].copy_(std[step.start : step.stop].clamp_min(0.05).log2())
    prior.log2_step.rows.copy_(_log2_steps(profile)[:, None].expand_as(prior.log2_step.rows))
    # Hyper vectors that would all round to zero would teach the prior nothing.
    _, z = codec.analyse(crops[:64], torch.full((len(crops[:64]), profile.anchors), 1 / profile.anchors))
    codec.hyper_encoder.head.weight.mul_(HYPER_STD / z.std())
    prior.hyper_log2_scale.rows.fill_(math.log2(HYPER_STD))


def _klt(flat: Tensor, components: int) -> tuple[Tensor, Tensor]:
    second_moment = flat.T @ flat / len(flat)
    power, vectors = torch.linalg.eigh(second_moment)
    power, vectors = power.flip(0)[:components], vectors.flip(1)[:, :components]
    return vectors.T.float(), power.clamp_min(0).sqrt().float()


def _log2_steps(profile: Profile) -> Tensor:
    """High-rate optimum of the quantizer step d at each anchor: d^2 / 12 = 3.33e-5 / lambda for this loss."""
    position = torch.linspace(0, 1, profile.anchors)
    lambdas = profile.lambda_min * (profile.lambda_max / profile.lambda_min) ** position
    step = STEP_STRETCH * (12 * 3.33e-5 / lambdas).sqrt() * profile.unit
    return torch.tensor([math.log2(s) for s in step])
