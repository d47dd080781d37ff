"""What errors in the decoded pixels count, and how the C-vectors would have to change for them to count less."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from finola_codec import grid
from finola_codec.entropy.exact import Floats, Mask
from finola_codec.entropy.fixed import Integers
from finola_codec.runtime.manifest import DEFAULT_TUNE
from finola_codec.runtime.model import Model
from finola_codec.runtime.ms_ssim import SMALLEST_SIDE, ms_ssim
from finola_codec.runtime.transforms import HIGHEST_WANTED

SSIM_WORTH = 1280.0  # a mean square error, of levels, as bad as an MS-SSIM of zero: CompressAI's pairs of lambda say so
MSE_SHARE = 0.3  # the part of the distortion for MS-SSIM that stays the mean square error


@dataclass(frozen=True)
class Measured:
    """A distortion, as a squared error summed over pixels in [0, 1] and their channels.

    ``weights`` (h, w), or one for all, say how much a squared error in each block counts in it.
    """

    error: float
    weights: float | Floats


@dataclass(frozen=True)
class Distortion(ABC):
    """How far decoded C-vectors are from ``pixels`` (H, W, 3). What is ``free`` (h, w) does not count.

    Constants say how refinement goes about it: how far its steps go, the curvature of half the error, and what an error
    of a refined vector costs, where weights are one. These are relative to those of the squared error.
    """

    model: Model
    pixels: NDArray[np.uint8]
    quality: int
    free: Mask | None

    rate: ClassVar[float] = 1.0
    curvature: ClassVar[float] = 1.0
    price: ClassVar[float] = 1.0
    checked: ClassVar[bool] = False  # whether the last step of the shortest refinement is measured too

    @abstractmethod
    def measure(self, y: Integers, gradient: Floats | None) -> Measured:
        """Measure decoded C-vectors ``y`` (h, w, C). If ``gradient`` is given, write that of half the error into it."""

    def differentiate(self, y: Integers, wanted: NDArray[np.uint8] | Floats, gradient: Floats | None) -> float:
        """Write the gradient of half the squared error from levels (H, W, 3) that are ``wanted``. Return that error."""
        error, top = 0.0, 0
        for strip, squared in self.model.transforms.gradient(y, wanted, self.quality, self.free):
            if gradient is not None:
                gradient[top : top + len(strip)] = strip
            error, top = error + squared, top + len(strip)
        return error


def distortion_of(tune: str, model: Model, pixels: NDArray[np.uint8], quality: int, free: Mask | None) -> Distortion:
    """Return the distortion that stands for a metric; the squared error for a picture too small for MS-SSIM."""
    if tune == DEFAULT_TUNE or min(pixels.shape[:2]) < SMALLEST_SIDE:
        return SquaredError(model, pixels, quality, free)
    return StructuralError(model, pixels, quality, free)


class SquaredError(Distortion):
    """The squared error: PSNR."""

    def measure(self, y: Integers, gradient: Floats | None) -> Measured:
        return Measured(self.differentiate(y, self.pixels, gradient), 1.0)


class StructuralError(Distortion):
    """1 - MS-SSIM, the mean over three channels, and a part of the mean square error.

    With levels of 0..255 the distortion is MSE_SHARE * MSE + (1 - MSE_SHARE) * SSIM_WORTH * (1 - MS-SSIM).

    The decoder's gradient is that of half a squared error. So it is asked for aims that lie as far from the decoded
    pixels as the gradient of half this distortion by them.
    """

    rate, curvature, price = 0.7, 1.3, 1.4
    checked = True  # steps can go too far, above all in tiny pictures

    def measure(self, y: Integers, gradient: Floats | None) -> Measured:
        aims = self.model.transforms.decoded(y, self.quality, *self.pixels.shape[:2])  # (H, W, 3); to be moved in place
        if self.free is not None:
            hidden = grid.widen(self.free, self.model.profile.block, *self.pixels.shape[:2])
            aims[hidden] = self.pixels[hidden]
        error, along, squares = 0.0, np.zeros(y.shape[:2], np.float32), np.zeros(y.shape[:2], np.float32)
        for channel in range(aims.shape[2]):
            distortion, by_error, by_square = self._aim(aims[..., channel], self.pixels[..., channel])
            error, along, squares = error + distortion, along + by_error, squares + by_square
        if gradient is not None:
            self.differentiate(y, aims, gradient)
        # Were the distortion quadratic, its gradient along the errors would be their weighted squares.
        structural = np.maximum(grid.around(along), 0) / np.maximum(grid.around(squares), np.float32(1e-5))
        return Measured(error / 255**2, (MSE_SHARE + structural).astype(np.float32))

    def _aim(self, decoded: Floats, original: NDArray[np.uint8]) -> tuple[float, Floats, Floats]:
        """Move the decoded levels of one channel (H, W) to what the decoder is to be asked for.

        Returns the distortion, and two sums over each block (h, w): that of errors times the gradient of half the part
        that is 1 - MS-SSIM, and that of squared errors.
        """
        x, wanted = np.ascontiguousarray(decoded), original.astype(np.float32)
        similarity, gradient = ms_ssim(x, wanted)
        worth = (1 - MSE_SHARE) * SSIM_WORTH * x.size  # of 1 - MS-SSIM, as a squared error of one channel
        gradient *= np.float32(-worth / 2)
        errors = x - wanted
        np.minimum(x - np.float32(MSE_SHARE) * errors - gradient, HIGHEST_WANTED, out=decoded)
        distortion = MSE_SHARE * float(np.square(errors).sum(dtype=np.float64)) + worth * (1 - similarity)
        block = self.model.profile.block
        return distortion, grid.sums(gradient * errors, block), grid.sums(errors * errors, block)
