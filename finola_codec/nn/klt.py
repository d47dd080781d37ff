"""Start a codec from the Karhunen-Loeve transform of its training set, so that training begins at a working codec."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.nn.model import BlockCodec, Codec, TileCodec
from finola_codec.nn.profiles import Profile

HYPER_STD = 0.6  # of the hyper vectors, in quantizer steps
STEP_STRETCH = 1.5  # over the high-rate optimum; closer to the optimum at low rates
SCALE_FLOOR = 0.05  # of a standard deviation whose logarithm is taken


@torch.no_grad()
def init_from_crops(codec: Codec, crops: Tensor) -> None:
    """Set shortcuts, steps and scales of ``codec`` from crops (N, 3, H, W) in [-0.5, 0.5], sides whole blocks."""
    if isinstance(codec, BlockCodec):
        _init_blocks(codec, crops)
    elif isinstance(codec, TileCodec):
        _init_tiles(codec, crops)


def _init_blocks(codec: BlockCodec, crops: Tensor) -> None:
    profile, prior = codec.profile, codec.prior
    basis, std = _klt(crops, profile.block, profile.channels)
    windows = _windows(basis, profile.block)
    _set(codec.encoder.lapped, windows * profile.unit)
    _set(codec.decoder.lapped, windows / profile.unit)

    std = std * profile.unit
    prior.whitening.copy_(1 / (1 + std**2).sqrt())
    for step in prior.spec.steps():
        prior.weights[f"{step.name}_scale_bias"].copy_(std[step.start : step.stop].clamp_min(SCALE_FLOOR).log2())
    prior.log2_step.rows.copy_(_log2_steps(profile)[:, None].expand_as(prior.log2_step.rows))
    # Hyper vectors that would all round to zero would teach the prior nothing.
    weights = torch.full((len(crops[:64]), profile.anchors), 1 / profile.anchors)
    z = codec.hyper(codec.encoder(crops[:64], weights), weights)
    codec.hyper_encoder.head.weight.mul_(HYPER_STD / z.std())
    prior.hyper_log2_scale.rows.fill_(math.log2(HYPER_STD))


def _init_tiles(codec: TileCodec, crops: Tensor) -> None:
    profile, prior = codec.profile, codec.prior
    basis, std = _klt(crops, profile.stride, profile.depth)
    _set(codec.encoder.shortcut, basis[:, :, None, None] * profile.unit)
    _set(codec.decoder.shortcut, _prediction(codec.encoder.shortcut, crops, profile.stride))
    codec.decoder.whitening.copy_(1 / (1 + (std * profile.unit) ** 2).sqrt())

    weights = torch.full((1, profile.anchors), 1 / profile.anchors)
    vectors = torch.cat([codec.encoder(x, weights.expand(len(x), -1)) for x in crops.split(8)])
    spread = vectors.square().mean((0, 2, 3)).sqrt().clamp_min(SCALE_FLOOR).log2()
    steps = _log2_steps(profile)[:, None]
    prior.log2_step.rows.copy_(steps.expand_as(prior.log2_step.rows))
    prior.log2_scale.rows.copy_(spread - steps)


def _set(shortcut: nn.Conv2d | nn.ConvTranspose2d, weight: Tensor) -> None:
    assert shortcut.bias is not None
    shortcut.weight.copy_(weight)
    shortcut.bias.zero_()


def _klt(crops: Tensor, side: int, components: int) -> tuple[Tensor, Tensor]:
    """Basis (components, 3 side^2) and standard deviations (components,) of blocks of pixels."""
    blocks = F.unfold(crops, side, stride=side).transpose(1, 2).flatten(0, 1).double()
    power, vectors = torch.linalg.eigh(blocks.T @ blocks / len(blocks))
    power, vectors = power.flip(0)[:components], vectors.flip(1)[:, :components]
    return vectors.T.float(), power.clamp_min(0).sqrt().float()


def _windows(basis: Tensor, side: int) -> Tensor:
    """A basis of blocks (components, 3 side^2) as one of windows twice as wide, zero around the block.

    A window is 2 x 2 blocks shifted by half a side: (components, 3 side^2, 2, 2).
    """
    half = side // 2
    windows = F.pad(basis.unflatten(1, (3, side, side)), (half,) * 4)
    blocks = windows.unflatten(2, (2, side)).unflatten(4, (2, side))  # (components, 3, 2, side, 2, side)
    return blocks.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)


def _prediction(transform: nn.Conv2d, crops: Tensor, side: int) -> Tensor:
    """Least squares: the 3x3 weights that predict a block's pixels from its own and its neighbours' coefficients."""
    coefficients = transform(F.pixel_unshuffle(crops, side))
    seen = F.unfold(F.pad(coefficients, (1, 1, 1, 1), mode="replicate"), 3).transpose(1, 2).flatten(0, 1).double()
    wanted = F.unfold(crops, side, stride=side).transpose(1, 2).flatten(0, 1).double()
    gram = seen.T @ seen + 1e-6 * len(seen) * torch.eye(seen.shape[1], dtype=torch.double)
    weights = torch.linalg.solve(gram, seen.T @ wanted)  # (components * 9, 3 side^2)
    return weights.T.float().unflatten(1, (-1, 3, 3))


def _log2_steps(profile: Profile) -> Tensor:
    """High-rate optimum of the quantizer step d at each anchor: d^2 / 12 = 3.33e-5 / lambda for this loss."""
    lambdas = profile.lambdas(torch.linspace(0, 1, profile.anchors))
    return torch.log2(STEP_STRETCH * (12 * 3.33e-5 / lambdas).sqrt() * profile.unit)
