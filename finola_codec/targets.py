"""The quality at which a file is just small enough, or just good enough: a search that encodes a few times."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from finola_codec.errors import TargetError
from finola_codec.quality import QUALITIES

# How much of each a quality more brings, as photographs have it; only the first guesses depend on it.
OCTAVES_A_QUALITY = 0.06
DECIBELS_A_QUALITY = 0.18
FIRST_GUESS = 50

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Attempt:
    value: float
    data: bytes


def largest_within(encode: Callable[[int], bytes], limit: int) -> bytes:
    """Find the file of the highest quality that has at most ``limit`` bytes.

    Sizes are taken to rise with quality. With a lossless layer they need not, and then the file may be of a lower
    quality than would fit. Raises :class:`TargetError` where even that of quality 1 has more.

    >>> len(largest_within(lambda quality: bytes(100 * quality), limit=4321))
    4300
    """

    def attempt(quality: int) -> _Attempt:
        data = encode(quality)
        return _Attempt(math.log2(len(data)), data)

    if limit < 1:
        raise TargetError("the picture does not fit 0 bytes")
    fits, _ = _neighbours(attempt, lambda octaves: octaves > math.log2(limit), math.log2(limit), OCTAVES_A_QUALITY)
    if fits is None:
        raise TargetError(f"the picture does not fit {limit} bytes even at quality 1")
    return fits.data


def first_reaching(encode: Callable[[int], tuple[float, bytes]], psnr: float) -> bytes:
    """Find the file of the lowest quality that reaches ``psnr`` (dB); ``encode`` gives PSNR and file.

    PSNR is taken to rise with quality. Raises :class:`TargetError` where that of quality 100 does not.
    """
    _, reaches = _neighbours(
        lambda quality: _Attempt(*encode(quality)), lambda reached: reached >= psnr, psnr, DECIBELS_A_QUALITY
    )
    if reaches is None:
        raise TargetError(f"the picture does not reach {psnr} dB even at quality {QUALITIES}")
    return reaches.data


def _neighbours(
    attempt: Callable[[int], _Attempt], passes: Callable[[float], bool], target: float, slope: float
) -> tuple[_Attempt | None, _Attempt | None]:
    """Return the attempts at two neighbouring qualities of which only the second ``passes``.

    Values rise with quality. Each guess is where the line through the nearest attempts meets the ``target``; where that
    leaves most of what was left, the middle. The first is None where quality 1 passes, the second where 100 does not.
    """
    low, high = 0, QUALITIES + 1
    below: _Attempt | None = None
    above: _Attempt | None = None
    guess, left, was_between = FIRST_GUESS, high - low, False
    while high - low > 1:
        found = attempt(guess)
        _log.info("quality %d: %d bytes", guess, len(found.data))
        if passes(found.value):
            high, above = guess, found
        else:
            low, below = guess, found
        is_slow, left = was_between and high - low > 0.75 * left, high - low
        was_between = below is not None and above is not None
        if below and above and (is_slow or above.value <= below.value):
            guess = (low + high) // 2
        elif below and above:
            guess = low + round((high - low) * (target - below.value) / (above.value - below.value))
        elif below:
            guess = low + math.ceil(min((target - below.value) / slope, QUALITIES))
        elif above:
            guess = high - math.ceil(min((above.value - target) / slope, QUALITIES))
        guess = min(max(guess, low + 1), high - 1)
    return below, above
