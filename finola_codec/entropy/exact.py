"""What coding C-vectors means, whatever the prior: the seam between :mod:`finola_codec.entropy` and its users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.fixed import Integers

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Price = float | Floats


@dataclass(frozen=True)
class Payloads:
    """The coded hyper vectors and C-vectors, and what a decoder will make of the latter."""

    hyper: bytes
    vectors: bytes
    y: Integers


class ExactPrior(Protocol):
    """A prior that gives every machine the same integers.

    C-vectors ``y`` are (h, w, C) float32, decoded ones int32 with ACTIVATION_BITS fractional bits. Hyper vectors ``z``
    are (ceil(h/p), ceil(w/p), C_hyper) float32, or None for a prior without them.
    """

    error_weight: float  # what one squared error counts in rate-distortion optimised quantization

    def encode(
        self,
        y: Floats,
        z: Floats | None,
        quality: int,
        price: Price | None = None,
        free: Mask | None = None,
        out: Integers | None = None,
        bits: Floats | None = None,
    ) -> Payloads:
        """Quantize and code C-vectors ``y`` and hyper vectors ``z``.

        With a ``price``, the bits that a squared error of one natural unit is worth, everywhere or at each position
        (h, w), quantization is rate-distortion optimised. Where ``free`` (h, w) is true, the values do not matter and
        are chosen to cost nothing. The decoded integers are written into ``out`` (h, w, C) if it is given; it may share
        its memory with ``y``. What the C-vector of each position takes is added to ``bits`` (h, w) if that is given.
        """

    def decode(self, hyper: bytes, vectors: bytes, grid: tuple[int, int], quality: int) -> Integers:
        """Return the C-vectors of a ``grid`` of (h, w). Raises :class:`FormatError` where a payload is damaged."""

    def salvage(self, hyper: bytes, vectors: bytes, grid: tuple[int, int], quality: int) -> tuple[Integers, int]:
        """Return what an intact beginning of ``vectors`` gives, and how many of the :meth:`parts` it holds."""

    def parts(self, grid: tuple[int, int]) -> int:
        """Return how many parts the coded vectors of a grid have."""

    def count(self, y: Floats, z: Floats | None, quality: int, price: float) -> NDArray[np.int64]:
        """Return how often each residual occurs under each table where :meth:`encode` would code it.

        The result is (BINS, 2 * largest reach + 1), the residual zero in the middle. Larger ones are not counted.
        """

    def bounds(self) -> dict[str, float]:
        """Return the largest possible sum of each layer. Raises :class:`ModelError` where one is not exact."""
