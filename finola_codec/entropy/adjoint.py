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
from finola_codec.entropy.fixed import ACTIVATION_BITS, WEIGHT_BITS, Integers
from finola_codec.entropy.prior import CodingStep, PriorSpec

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

    ``arrays`` holds weights, biases and shifts as integers; ``mix`` (anchors,) is that of the quality. The gradient
    by C-vectors that a context reads is added to ``gradient`` (h, w, C), times ``damping``.
    """

    def __init__(
        self,
        spec: PriorSpec,
        arrays: Mapping[str, NDArray[np.float64]],
        mix: NDArray[np.floating],
        sites: Sites,
        gradient: Floats,
        damping: float,
    ) -> None:
        self.spec, self.arrays, self.mix, self.sites = spec, arrays, mix, sites
        self.gradient, self.damping = gradient, damping
        self._steps_back: list[Callable[[], None]] = []

    def back(self) -> None:
        """Go back over everything, from the gradient of the rows that came last, and forget it."""
        while self._steps_back:
            self._steps_back.pop()()

    def select(self, features: Integers, step: CodingStep) -> Rows:
        return Rows.of(_real(features[self.sites], ACTIVATION_BITS))  # (h * w, C_hyper) -> (sites, C_hyper)

    def linear(self, name: str, x: Rows) -> Rows:
        weights = _real(self.arrays[name], WEIGHT_BITS)  # (out, in)
        y = Rows.of(x.values @ weights.T + self._bias(name))

        def step_back() -> None:
            x.gradient += y.gradient @ weights

        self._steps_back.append(step_back)
        return y

    def context(self, name: str, known: Integers, step: CodingStep) -> Rows:
        weights = _real(self.arrays[name], WEIGHT_BITS)  # (out, in, kernel, kernel)
        y = Rows.of(np.tile(self._bias(name), (len(self.sites), 1)))
        flat, flat_gradient = known.reshape(-1, known.shape[2]), self.gradient.reshape(-1, known.shape[2])
        for kernel, inside, there, seen in self._neighbours(weights, known.shape[:2], step):
            y.values[inside] += _real(flat[there, :seen], ACTIVATION_BITS) @ kernel.T

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
        for offset in np.ndindex(weights.shape[2:]):
            row, column = rows + offset[0] - self.spec.kernel // 2, columns + offset[1] - self.spec.kernel // 2
            inside = (row >= 0) & (row < grid[0]) & (column >= 0) & (column < grid[1])
            # Of its own group a position knows those of the other phase only, which lie at odd distances.
            seen = step.known if sum(offset) % 2 else step.start
            yield weights[:, :seen, offset[0], offset[1]], inside, (row * grid[1] + column)[inside], seen

    def shift(self, name: str, x: Rows) -> Rows:
        x.values += self.mix @ _real(self.arrays[name], ACTIVATION_BITS)
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
        return _real(self.arrays[f"{name}_bias"], ACTIVATION_BITS)


def _real(integers: NDArray[np.generic], bits: int) -> Floats:
    return np.multiply(integers, 2.0**-bits, dtype=np.float32)
