"""The description of the hyperprior run on integers: what :class:`finola_codec.entropy.prior.Arithmetic` asks for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy import fixed
from finola_codec.entropy.fixed import LIMIT, Array
from finola_codec.entropy.prior import CodingStep, PriorSpec
from finola_codec.quality import exact_mix


class IntegerArithmetic:
    """Rows (sites, channels) of integers, at some of the positions of a phase.

    ``sites`` are their flat positions on the grid, in raster order. ``arrays`` holds weights, biases and shifts.
    """

    def __init__(self, arrays: Mapping[str, Array], sites: NDArray[np.intp], quality: int, spec: PriorSpec) -> None:
        self.arrays, self.sites, self.kernel = arrays, sites, spec.kernel
        self.mix = exact_mix(quality, spec.anchors)

    def select(self, features: NDArray[np.integer], step: CodingStep) -> Array:
        return features[self.sites].astype(np.float64)  # (h * w, C_hyper) -> (sites, C_hyper)

    def linear(self, name: str, x: Array) -> Array:
        return fixed.linear(x, self.arrays[name], self.arrays[f"{name}_bias"])

    def context(self, name: str, known: NDArray[np.integer], step: CodingStep) -> Array:
        weights = self.arrays[name]  # (out, in, kernel, kernel)
        border = self.kernel // 2
        height, width = known.shape[:2]
        rows, columns = self.sites // width, self.sites % width
        first, last = rows[0], rows[-1]
        # The rows that the sites see, with zeros around the picture: (rows + 2 border, width + 2 border, in).
        band = np.zeros((last - first + self.kernel, width + 2 * border, step.known))
        top, bottom = max(0, first - border), min(height, last + border + 1)
        inner = band[top - first + border : bottom - first + border, border : border + width]
        inner[:] = known[top:bottom, :, : step.known]
        if step.phase == 1:  # of its own group a position of phase 1 reads phase 0 only
            odd = np.add.outer(np.arange(top, bottom), np.arange(width)) % 2 == 1
            inner[odd, step.start :] = 0
        stride = band.shape[1]
        corner = (rows - first) * stride + columns
        offsets = np.add.outer(np.arange(self.kernel) * stride, np.arange(self.kernel)).ravel()
        patches = band.reshape(-1, step.known)[corner[:, None] + offsets]  # (sites, kernel^2, in)
        matrix = weights.transpose(0, 2, 3, 1).reshape(len(weights), -1)  # (out, kernel^2 * in)
        return fixed.linear(patches.reshape(len(self.sites), -1), matrix, self.arrays[f"{name}_bias"])

    def shift(self, name: str, x: Array) -> Array:
        return x + fixed.rescale(self.mix @ self.arrays[name])

    def add(self, a: Array, b: Array) -> Array:
        return a + b

    def relu(self, x: Array) -> Array:
        return np.clip(x, 0, LIMIT)
