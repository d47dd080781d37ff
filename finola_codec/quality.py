"""Quality: from 1..100 to a position in the range of a model, to lambda, and to the mix of anchors.

A model learns one row of numbers for each of a few *anchors*, which are evenly spaced in log lambda. A quality lies
between two of them, and its *mix* says how much of each anchor's row it takes: all interpolation is linear.

>>> position(1), position(100)
(0.0, 1.0)
>>> mix(50, anchors=3)
array([[0.01010101, 0.989899  , 0.        ]], dtype=float32)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

QUALITIES = 100
MIX_BITS = 12  # fractional bits of the exact mix


def position(quality: int) -> float:
    """Return where a quality of 1..100 lies in the range of a model, from 0 to 1."""
    return (quality - 1) / (QUALITIES - 1)


def lagrange_multiplier(where: Any, lowest: float, highest: float) -> Any:
    """Lambda at positions (a number, array or tensor) in [0, 1]: geometric interpolation.

    The loss is bpp + lambda 255^2 MSE, with the mean square error over pixels in [0, 1] and three channels.
    """
    return lowest * (highest / lowest) ** where


def hat(distance: Any, one: float = 1.0) -> Any:
    """Return how much an anchor at this distance counts: 1 at the anchor itself, falling to 0 at its neighbours.

    ``distance`` is an array or tensor in units of the spacing of anchors, times ``one``.
    """
    return (one - abs(distance)).clip(min=0)


def mix(quality: int, anchors: int) -> NDArray[np.float32]:
    """Return the mix (1, anchors) of a quality of 1..100, for the transforms. It adds up to one."""
    distance = position(quality) * (anchors - 1) - np.arange(anchors)
    return hat(distance)[None].astype(np.float32)


def exact_mix(quality: int, anchors: int) -> NDArray[np.float64]:
    """Return the mix (anchors,) of a quality as integers with MIX_BITS fractional bits, for the exact prior."""
    one = 2**MIX_BITS
    where = (quality - 1) * (anchors - 1) * one // (QUALITIES - 1)
    return hat(where - np.arange(anchors) * one, one).astype(np.float64)
