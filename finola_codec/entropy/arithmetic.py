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
        rows, columns = np.divmod(self.sites, width)
        first, last = rows[0], rows[-1]
        # The rows that the sites see, with zeros around the picture. Their width is odd, so that the places of one
        # phase are every second one, across the ends of rows too, and a neighbour's is always equally far away.
        stride = (width + 2 * border) | 1
        band = np.zeros((last - first + self.kernel, stride, step.known))
        top, bottom = max(0, first - border), min(height, last + border + 1)
        band[top - first + border : bottom - first + border, border : border + width] = known[
            top:bottom, :, : step.known
        ]
        places = band.reshape(-1, step.known)
        own = (rows - first + border) * stride + columns + border
        count = (own[-1] - own[0]) // 2 + 1
        total = np.tile(self.arrays[f"{name}_bias"] * 2.0**fixed.WEIGHT_BITS, (count, 1))
        for row, column in np.ndindex(self.kernel, self.kernel):
            if seen := step.seen(row, column):
                there = places[own[0] + (row - border) * stride + column - border :: 2][:count, :seen]
                total += there @ weights[:, :seen, row, column].T
        return fixed.rescale(total.take((own - own[0]) // 2, axis=0))

    def shift(self, name: str, x: Array) -> Array:
        x += fixed.rescale(self.mix @ self.arrays[name])
        return x

    def add(self, a: Array, b: Array) -> Array:
        a += b
        return a

    def relu(self, x: Array) -> Array:
        return np.clip(x, 0, LIMIT, out=x)
