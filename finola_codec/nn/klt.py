"""Start a codec from the Karhunen-Loeve transform of its training set, so that training begins at a working codec."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from finola_codec.nn.decoder import Decoder
from finola_codec.nn.encoder import Encoder
from finola_codec.nn.factorised import TrainableFactorised
from finola_codec.nn.hyperprior import TrainableHyperprior
from finola_codec.nn.tile import TileDecoder, TileEncoder
from finola_codec.profiles import BlockProfile, Profile, TileProfile

HYPER_STD = 0.6  # the standard deviation that hyper vectors start with, in quantizer steps
HYPER_LOG2_SCALE = math.log2(HYPER_STD)
STEP_STRETCH = (
    1.5  # quantizer steps start this many times as large as is optimal at high rates, which is closer at low ones
)
SCALE_FLOOR = 0.05  # the smallest standard deviation whose logarithm is taken


def start_blocks(
    profile: BlockProfile, encoder: Encoder, prior: TrainableHyperprior, decoder: Decoder, crops: Tensor
) -> None:
    """Set shortcuts, whitening, quantizer steps and scales of a codec of blocks from ``crops`` (N, 3, H, W)."""
    basis, std = _klt(crops, profile.block, profile.channels)
    windows = _windows(basis, profile.block)
    _set(encoder.lapped, windows * profile.unit)
    _set(decoder.lapped, windows / profile.unit)
    std = std * profile.unit
    prior.whitening.copy_(1 / (1 + std**2).sqrt())
    for step in prior.spec.coding_steps():
        prior.weights[f"{step.name}_scale_bias"].copy_(std[step.start : step.stop].clamp_min(SCALE_FLOOR).log2())
    prior.log2_step.rows.copy_(_log2_steps(profile)[:, None].expand_as(prior.log2_step.rows))


def start_tiles(
    profile: TileProfile, encoder: TileEncoder, prior: TrainableFactorised, decoder: TileDecoder, crops: Tensor
) -> None:
    """Set shortcuts, whitening, quantizer steps and scales of a codec of tiles from ``crops`` (N, 3, H, W)."""
    basis, std = _klt(crops, profile.stride, profile.depth)
    _set(encoder.shortcut, basis[:, :, None, None] * profile.unit)
    _set(decoder.shortcut, _prediction(encoder.shortcut, crops, profile.stride))
    decoder.whitening.copy_(1 / (1 + (std * profile.unit) ** 2).sqrt())

    mix = torch.full((1, profile.anchors), 1 / profile.anchors)
    vectors = torch.cat([encoder(x, mix.expand(len(x), -1)) for x in crops.split(8)])
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
    """Return a basis of blocks (components, 3 side^2) as one of windows twice as wide, zero around the block.

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
