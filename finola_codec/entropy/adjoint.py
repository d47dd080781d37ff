"""The hyperprior differentiated: how a decoded value acts on all that is predicted from it.

:class:`Differentiable` runs the description in :mod:`finola_codec.entropy.prior` on float32, remembers what it did, and
goes back over it. So the network is described once for this too. Only encoding needs it: nothing here must be exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.exact import Floats
from finola_codec.entropy.fixed import WEIGHT_BITS, Array, Integers, to_real
from finola_codec.entropy.prior import CodingStep, PriorSpec
from finola_codec.quality import mix

Sites = NDArray[np.intp]


@dataclass
class Rows:
    """Values (sites, channels), and the gradient by them, which grows while :meth:`Differentiable.back` runs."""

    values: Floats
    gradient: Floats

    @staticmethod
    def of(values: Floats) -> Rows:
        """Values by which nothing depends yet."""
        return Rows(values, np.zeros_like(values))


class Differentiable:
    """Rows of float32 in natural units, at the flat positions ``sites`` (N,) of one phase.

    ``arrays`` holds weights, biases and shifts as integers. The gradient by C-vectors that a context reads is added to
    ``gradient`` (h, w, C), times ``damping``.
    """

    def __init__(
        self,
        arrays: Mapping[str, Array],
        sites: Sites,
        quality: int,
        spec: PriorSpec,
        gradient: Floats,
        damping: float,
    ) -> None:
        self.arrays, self.sites, self.kernel = arrays, sites, spec.kernel
        self.mix = mix(quality, spec.anchors)  # (1, anchors)
        self.gradient, self.damping = gradient, damping
        self._steps_back: list[Callable[[], None]] = []

    def back(self) -> None:
        """Go back over everything, from the gradient of the rows that came last, and forget it."""
        while self._steps_back:
            self._steps_back.pop()()

    def select(self, features: Integers, step: CodingStep) -> Rows:
        return Rows.of(to_real(features[self.sites]))  # (h * w, C_hyper) -> (sites, C_hyper)

    def linear(self, name: str, x: Rows) -> Rows:
        weights = to_real(self.arrays[name], WEIGHT_BITS)  # (out, in)
        y = Rows.of(x.values @ weights.T + self._bias(name))

        def step_back() -> None:
            x.gradient += y.gradient @ weights

        self._steps_back.append(step_back)
        return y

    def context(self, name: str, known: Integers, step: CodingStep) -> Rows:
        weights = to_real(self.arrays[name], WEIGHT_BITS)  # (out, in, kernel, kernel)
        y = Rows.of(np.tile(self._bias(name), (len(self.sites), 1)))
        flat, flat_gradient = known.reshape(-1, known.shape[2]), self.gradient.reshape(-1, known.shape[2])
        for kernel, inside, there, seen in self._neighbours(weights, known.shape[:2], step):
            y.values[inside] += to_real(flat[there, :seen]) @ kernel.T

        def step_back() -> None:
            for kernel, inside, there, seen in self._neighbours(weights, known.shape[:2], step):
                flat_gradient[there, :seen] += self.damping * (y.gradient[inside] @ kernel)

        self._steps_back.append(step_back)
        return y

    def _neighbours(
        self, weights: Floats, grid: tuple[int, ...], step: CodingStep
    ) -> Iterator[tuple[Floats, NDArray[np.bool_], Sites, int]]:
        """For each neighbour: weights (out, seen), which sites have it, where it is, and how many channels it shows."""
        rows, columns = np.divmod(self.sites, grid[1])
        border = self.kernel // 2
        for row, column in np.ndindex(self.kernel, self.kernel):
            there_row, there_column = rows + row - border, columns + column - border
            inside = (there_row >= 0) & (there_row < grid[0]) & (there_column >= 0) & (there_column < grid[1])
            seen = step.seen(row, column)
            yield weights[:, :seen, row, column], inside, (there_row * grid[1] + there_column)[inside], seen

    def shift(self, name: str, x: Rows) -> Rows:
        x.values += self.mix @ to_real(self.arrays[name])
        return x

    def add(self, a: Rows, b: Rows) -> Rows:
        a.values += b.values

        def step_back() -> None:
            b.gradient += a.gradient

        self._steps_back.append(step_back)
        return a

    def relu(self, x: Rows) -> Rows:
        np.maximum(x.values, 0, out=x.values)

        def step_back() -> None:
            x.gradient *= x.values > 0

        self._steps_back.append(step_back)
        return x

    def _bias(self, name: str) -> Floats:
        return to_real(self.arrays[f"{name}_bias"])
