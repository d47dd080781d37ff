"""The rate-distortion loss over the whole quality range."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pytorch_msssim import ms_ssim
from torch import Tensor

from finola_codec.nn.model import Result
from finola_codec.profiles import Profile
from finola_codec.runtime.distortion import SSIM_WORTH
from finola_codec.runtime.manifest import Tune

SSIM_MSE_SHARE = 0.1


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


def rate_distortion(
    result: Result, x: Tensor, position: Tensor, profile: Profile, tune: Tune = "psnr"
) -> RateDistortion:
    """Compute bpp + lambda 255^2 D of each picture, brought to one size across qualities.

    The distortion D is the mean square error. For ``tune`` "ssim" only :data:`SSIM_MSE_SHARE` of it is, and the rest
    is :data:`~finola_codec.runtime.distortion.SSIM_WORTH` / 255^2 (1 - MS-SSIM).

    At the optimum rate grows about as the square root of lambda; without the division by it the highest
    qualities would own the gradient, while BD-rate weighs all rates alike.
    """
    pixels = x.shape[2] * x.shape[3]
    bpp = result.bits / pixels
    mse = distortion = (result.x.float() - x).square().mean((1, 2, 3))
    if tune == "ssim":
        distortion = SSIM_MSE_SHARE * mse + (1 - SSIM_MSE_SHARE) * _ms_ssim_loss(result.x, x)
    lambdas = profile.lambdas(position)
    middle = (profile.lambda_min * profile.lambda_max) ** 0.5
    weight = (middle / lambdas).sqrt()
    return RateDistortion(bpp, mse, weight * (bpp + lambdas * 255**2 * distortion))


def _ms_ssim_loss(decoded: Tensor, x: Tensor) -> Tensor:
    """Return how far MS-SSIM is from one, as a mean square error (N,).

    Reports measure it by torchmetrics, which takes three times as long for a batch and its gradient.
    """
    with torch.autocast(x.device.type, enabled=False):  # its variances are differences of like numbers
        return SSIM_WORTH / 255**2 * (1 - ms_ssim(decoded.float() + 0.5, x + 0.5, data_range=1.0, size_average=False))
