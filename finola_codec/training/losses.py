"""The rate-distortion loss over the whole quality range."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from finola_codec.nn.model import Result
from finola_codec.profiles import Profile


@dataclass(frozen=True)
class RateDistortion:
    """Rate (bit/pixel), mean square error (pixels in [0, 1]) and cost of each picture (N,)."""

    bpp: Tensor
    mse: Tensor
    cost: Tensor

    @property
    def loss(self) -> Tensor:
        """The mean cost: what is reported."""
        return self.cost.mean()

    @property
    def objective(self) -> Tensor:
        """Twice the mean root of the cost: what is minimised.

        BD-rate compares pictures by ratios: a per cent saved on a flat picture counts as much as a per cent saved
        on a busy one, although it is far fewer bits. The root is half way between the mean of the costs, in
        which flat pictures vanish, and the mean of their logarithms.
        """
        return 2 * self.cost.sqrt().mean()

    @property
    def psnr(self) -> Tensor:
        """PSNR of each picture (N,) in dB, for a peak of 1."""
        return -10 * torch.log10(self.mse.clamp_min(1e-10))


def rate_distortion(result: Result, x: Tensor, position: Tensor, profile: Profile) -> RateDistortion:
    """Compute bpp + lambda 255^2 MSE of each picture, brought to one size across qualities.

    At the optimum rate grows about as the square root of lambda; without the division by it the highest
    qualities would own the gradient, while BD-rate weighs all rates alike.
    """
    pixels = x.shape[2] * x.shape[3]
    bpp = result.bits / pixels
    mse = (result.x.float() - x).square().mean((1, 2, 3))
    lambdas = profile.lambdas(position)
    middle = (profile.lambda_min * profile.lambda_max) ** 0.5
    weight = (middle / lambdas).sqrt()
    return RateDistortion(bpp, mse, weight * (bpp + lambdas * 255**2 * mse))
