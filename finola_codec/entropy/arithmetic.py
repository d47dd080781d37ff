"""The description of the hyperprior run on integers: what :class:`finola_codec.entropy.prior.Arithmetic` asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy import fixed
from finola_codec.entropy.fixed import LIMIT, Array
from finola_codec.entropy.prior import CodingStep, PriorSpec
from finola_codec.quality import exact_mix


def seen(step: CodingStep, kernel: int) -> Iterator[tuple[int, int, int]]:
    """Rows and columns of the neighbours that a coding step's context reads, and how many channels it reads of each."""
    for row, column in np.ndindex(kernel, kernel):
        # Of its own group a position knows those of the other phase only, which lie at odd distances.
        channels = step.known if (row + column) % 2 else step.start
        if channels:
            yield row, column, channels


def of_seen(weights: Array, step: CodingStep) -> Array:
    """Return of a context's ``weights`` (out, in, kernel, kernel) those of what it reads, end to end: (out, read)."""
    return np.concatenate([weights[:, :n, row, column] for row, column, n in seen(step, weights.shape[2])], axis=1)


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
        border = self.kernel // 2
        height, width = known.shape[:2]
        rows, columns = np.divmod(self.sites, width)
        first, last = rows[0], rows[-1]
        # The rows that the sites see, with zeros around the picture. Their width is odd, so that the places of one
        # phase are every second one, across the ends of rows too, and a neighbour's is always equally far away.
        stride = (width + 2 * border) | 1
        band = np.zeros((last - first + self.kernel, stride, step.known), np.int32)
        top, bottom = max(0, first - border), min(height, last + border + 1)
        band[top - first + border : bottom - first + border, border : border + width] = known[
            top:bottom, :, : step.known
        ]
        places = band.reshape(-1, step.known)
        own = (rows - first + border) * stride + columns + border
        count = (own[-1] - own[0]) // 2 + 1
        weights = self.arrays[name]
        gathered, filled = np.empty((count, weights.shape[1])), 0
        for row, column, channels in seen(step, self.kernel):
            there = places[own[0] + (row - border) * stride + column - border :: 2]
            gathered[:, filled : filled + channels] = there[:count, :channels]
            filled += channels
        return fixed.linear(gathered, weights, self.arrays[f"{name}_bias"]).take((own - own[0]) // 2, axis=0)

    def shift(self, name: str, x: Array) -> Array:
        x += fixed.rescale(self.mix @ self.arrays[name])
        return x

    def add(self, a: Array, b: Array) -> Array:
        a += b
        return a

    def relu(self, x: Array) -> Array:
        return np.clip(x, 0, LIMIT, out=x)
