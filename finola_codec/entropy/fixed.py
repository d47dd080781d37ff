"""Fixed-point arithmetic in float64: every value an integer, every sum below 2^53, so no CPU can round one differently.

A real number x stands for the integer ``round(x * 2**ACTIVATION_BITS)``, carried in a float64 array. Sums of
products of such integers are exact in any order (BLAS and thread count do not matter) as long as no partial
sum reaches 2^53; :func:`bound` is what export checks for every layer. Rescaling multiplies by a power of two,
which is exact before a sum as well as after it, and rounds half to even, which IEEE 754 defines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finola_codec.errors import ModelError

Array = NDArray[np.float64]
Integers = NDArray[np.int32]

ACTIVATION_BITS = 12  # fractional bits of latents, features, means and log2 scales
WEIGHT_BITS = 12  # fractional bits of weights
ONE = 2.0**ACTIVATION_BITS
LIMIT = 2.0**26  # activations saturate here: 16384 in natural units
FINOLA_LIMIT = 2.0**19  # FINOLA's vectors saturate at 128: their sums of squares must stay exact
EXACT = 2.0**53
EPSILON = 2.0**14  # FINOLA's 1e-3, to the nearest power of two, in squared units (2^-10 * ONE^2)


def rescale(accumulator: Array, bits: int = WEIGHT_BITS, limit: float = LIMIT) -> Array:
    """Drop ``bits`` fractional bits, rounding half to even, and saturate at ``limit``: in place."""
    accumulator *= 2.0**-bits
    return rounded(accumulator, limit)


def rounded(values: Array, limit: float = LIMIT) -> Array:
    """Round half to even, and saturate at ``limit``: in place."""
    np.rint(values, out=values)
    return np.clip(values, -limit, limit, out=values)


def quantize(values: NDArray[np.floating], bits: int) -> Array:
    """Real numbers to integers with ``bits`` fractional bits."""
    return np.rint(np.asarray(values, dtype=np.float64) * 2.0**bits)


def to_real(integers: Integers | Array, bits: int = ACTIVATION_BITS) -> NDArray[np.float32]:
    """Integers with ``bits`` fractional bits to the numbers they stand for."""
    return np.multiply(integers, 2.0**-bits, dtype=np.float32)


def linear(x: Array, weights: Array, bias: Array) -> Array:
    """``x`` (N, in) times ``weights`` (out, in) plus ``bias`` (out,), all integers: (N, out)."""
    products = x @ (weights * 2.0**-WEIGHT_BITS).T
    products += bias
    return rounded(products)


def bound(weights: Array, bias: Array, limit: float = LIMIT) -> float:
    """Return the largest value that any partial sum of :func:`linear` can reach for inputs within ``limit``."""
    return float((np.abs(weights).sum(1) * limit + np.abs(bias) * 2.0**WEIGHT_BITS).max())


def normalise(z: Array) -> Array:
    """FINOLA's norm over the last axis: (z - mean) / sqrt(variance + epsilon), to ACTIVATION_BITS fractional bits.

    With C channels, s = sum z and q = sum z^2 this is (C z - s) / sqrt(C q - s^2 + C^2 epsilon). Numerator and
    radicand are integers below 2^53, IEEE 754 rounds root and division correctly, and one rounding follows.
    """
    channels = z.shape[-1]
    total = z.sum(-1, keepdims=True)
    squares = np.einsum("...c,...c->...", z, z)[..., None]
    radicand = channels * squares - total * total + channels**2 * EPSILON
    normalised = channels * z
    normalised -= total
    normalised /= np.sqrt(radicand)
    normalised *= ONE
    return np.rint(normalised, out=normalised)


def check_finola(channels: int) -> None:
    """Refuse a width at which :func:`normalise` could leave the exact range. Raises :class:`ModelError`."""
    if channels**2 * (FINOLA_LIMIT**2 + EPSILON) >= EXACT:
        raise ModelError(f"FINOLA of {channels} channels cannot be normalised exactly")


def grow(seeds: Array, matrices: dict[str, Array], side: int) -> Array:
    """Grow integer vectors (N, C) into patches (N, side, side, C), as :class:`finola_codec.nn.finola.Finola` does."""
    before = (side - 1) // 2
    across = (matrices["left"], matrices["right"])
    along = (matrices["up"], matrices["down"])
    rows_first = _line(_line(seeds, before, side, *across), before, side, *along).swapaxes(1, 2)
    columns_first = _line(_line(seeds, before, side, *along), before, side, *across)
    total = rows_first + columns_first
    total /= 2
    return np.rint(total, out=total)


def _line(z: Array, before: int, side: int, backward: Array, forward: Array) -> Array:
    """Repeat the step both ways from ``z`` (..., C): (..., side, C)."""
    cells = np.empty((*z.shape[:-1], side, z.shape[-1]))
    cells[..., before, :] = z
    start = normalise(z)  # of the first step in both directions
    for places, matrix in ((range(before + 1, side), forward), (range(before - 1, -1, -1), backward)):
        current = z
        for place in places:
            current = _step(current, start if current is z else normalise(current), matrix)
            cells[..., place, :] = current
    return cells


def _step(z: Array, normalised: Array, matrix: Array) -> Array:
    moved = rescale(normalised @ matrix.T)
    moved += z
    return np.clip(moved, -FINOLA_LIMIT, FINOLA_LIMIT, out=moved)
