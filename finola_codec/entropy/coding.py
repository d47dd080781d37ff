"""What coding C-vectors means, whatever the prior: the seam between :mod:`finola_codec.entropy` and its users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.fixed import ACTIVATION_BITS, WEIGHT_BITS, Array

QUALITIES = 100
Integers = NDArray[np.int32]


def interpolation(quality: int, anchors: int) -> Array:
    """Integer weights (anchors,), in units of 2^-WEIGHT_BITS, of the anchors at a quality of 1..100."""
    position = (quality - 1) * (anchors - 1) * 2**WEIGHT_BITS // (QUALITIES - 1)
    return np.maximum(0, 2**WEIGHT_BITS - np.abs(position - np.arange(anchors) * 2**WEIGHT_BITS)).astype(np.float64)


def to_real(y: Integers) -> NDArray[np.float32]:
    """Integers with ACTIVATION_BITS fractional bits to the numbers they stand for."""
    return np.multiply(y, 2.0**-ACTIVATION_BITS, dtype=np.float32)


@dataclass(frozen=True)
class Payloads:
    """The coded hyper vectors and C-vectors, and what a decoder will make of the latter."""

    hyper: bytes
    vectors: bytes
    y: Integers


class ExactPrior(Protocol):
    """A prior that gives every machine the same integers.

    C-vectors ``y`` are (h, w, C) float32, decoded ones int32 with ACTIVATION_BITS fractional bits; hyper vectors ``z``
    are (ceil(h/p), ceil(w/p), C_hyper) float32, or None for a prior without them.
    """

    error_weight: float  # what one squared error counts in rate-distortion optimised quantization

    def encode(
        self, y: NDArray[np.float32], z: NDArray[np.float32] | None, quality: int, price: float | None = None
    ) -> Payloads: ...

    def decode(self, hyper: bytes, vectors: bytes, grid: tuple[int, int], quality: int) -> Integers: ...

    def salvage(self, hyper: bytes, vectors: bytes, grid: tuple[int, int], quality: int) -> tuple[Integers, int]: ...

    def count(
        self, y: NDArray[np.float32], z: NDArray[np.float32] | None, quality: int, price: float
    ) -> NDArray[np.int64]: ...

    def batches(self, grid: tuple[int, int]) -> int: ...

    def bounds(self) -> dict[str, float]: ...
