"""Real numbers to residuals: the nearest integer, or the one that costs less."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.coder import MAX_RESIDUAL
from finola_codec.entropy.fixed import Integers
from finola_codec.entropy.tables import Tables


def nearest(wanted: NDArray[np.floating]) -> Integers:
    """Return the nearest integers, half to even, within what can be coded."""
    rounded = np.rint(wanted)
    return np.clip(rounded, -MAX_RESIDUAL, MAX_RESIDUAL, out=rounded).astype(np.int32)


def cheaper(
    wanted: NDArray[np.floating], bins: NDArray[np.uint8], price: NDArray[np.floating], tables: Tables
) -> Integers:
    """Rate-distortion optimised quantization of ``wanted`` (N, channels), in steps, under the tables ``bins``.

    Each residual is the nearest integer or the next one towards zero, whichever makes bits + price * squared
    error (in steps) less; ``price`` is (channels,) or (N, channels).
    """
    chosen = nearest(wanted)
    flat = chosen.reshape(-1)
    where = np.flatnonzero(flat != 0)
    target, high, bins = wanted.ravel()[where], flat[where], bins.ravel()[where]
    low = high - np.sign(high)
    saved = tables.bits(high, bins) - tables.bits(low, bins)
    worse = price.reshape(-1)[where % price.size] * ((target - low) ** 2 - (target - high) ** 2)
    flat[where] = np.where(saved > worse, low, high)
    return flat.reshape(chosen.shape)
