"""Integer frequency tables: one for each scale on the grid of :mod:`finola_codec.entropy.scales`.

A table covers the residuals -reach..reach and one escape symbol; its frequencies are positive and add up to
2^24. They are made once, at export, and travel with the model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.scales import BINS, BINS_PER_OCTAVE, LOG2_MIN, TAIL_LOG2_WEIGHT, tail_slope
from finola_codec.errors import ModelError

PRECISION = 24
TOTAL = 2**PRECISION
PSEUDO_COUNTS = 200


@dataclass(frozen=True)
class Tables:
    """The frequencies of every bin, end to end, and how far each bin reaches.

    >>> tables = build()
    >>> int(tables.of(0).sum()), len(tables.of(0)), int(tables.reach[0])
    (16777216, 8, 3)
    """

    frequencies: NDArray[np.uint32]
    reach: NDArray[np.int32]

    def of(self, index: int) -> NDArray[np.uint32]:
        """Return the frequencies of one bin: residuals -reach..reach, then the escape."""
        start = self._starts[index]
        return self.frequencies[start : start + 2 * self.reach[index] + 2]

    def bits(self, residuals: NDArray[np.int32], bins: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what each residual costs, in bits; for an escape, its symbol and about what follows."""
        reach = self.reach[bins]
        outside = np.abs(residuals) > reach
        symbols = np.where(outside, 2 * reach + 1, residuals + reach)
        costs: NDArray[np.float32] = self._costs[self._starts[bins] + symbols]
        if outside.any():
            costs[outside] += 2 * np.log2((np.abs(residuals) - reach)[outside]) + 5
        return costs

    def no_counts(self) -> NDArray[np.int64]:
        """Zeros (BINS, 2 * largest reach + 1), for :meth:`add_counts`."""
        return np.zeros((BINS, 2 * int(self.reach.max()) + 1), np.int64)

    def add_counts(self, counts: NDArray[np.int64], residuals: NDArray[np.int32], bins: NDArray[np.uint8]) -> None:
        """Count how often each residual, zero in the middle, occurs under each table; not those out of reach."""
        reach = counts.shape[1] // 2
        within = np.abs(residuals) <= reach
        np.add.at(counts, (bins[within], residuals[within] + reach), 1)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum(2 * self.reach.astype(np.int64) + 2) - (2 * self.reach + 2)

    @cached_property
    def _costs(self) -> NDArray[np.float32]:
        return (PRECISION - np.log2(self.frequencies)).astype(np.float32)

    def check(self) -> None:
        """Raise :class:`ModelError` unless every table is positive and adds up to 2^24."""
        if len(self.reach) != BINS or (self.reach < 0).any() or len(self.frequencies) != (2 * self.reach + 2).sum():
            raise ModelError("the frequency tables have the wrong size")
        for index in range(BINS):
            table = self.of(index)
            if table.min() < 1 or int(table.sum(dtype=np.int64)) != TOTAL:
                raise ModelError(f"frequency table {index} has a zero, or does not add up to 2^{PRECISION}")


def build() -> Tables:
    """Return the tables of the distributions that training assumes."""
    tables = [_table(2.0 ** (LOG2_MIN + index / BINS_PER_OCTAVE)) for index in range(BINS)]
    reach = np.array([(len(t) - 2) // 2 for t in tables], dtype=np.int32)
    return Tables(np.concatenate(tables), reach)


def calibrate(tables: Tables, counts: NDArray[np.int64]) -> Tables:
    """Bring tables to the residuals that really occur: ``counts`` (BINS, 2 * largest reach + 1), zero in the middle.

    The counts are made symmetric, and the tables themselves count as ``PSEUDO_COUNTS`` residuals, so that what
    was seen rarely changes little. Escapes keep their frequency.
    """
    middle = counts.shape[1] // 2
    made = []
    for index, reach in enumerate(tables.reach):
        old = tables.of(index)
        seen = counts[index, middle - reach : middle + reach + 1]
        if not seen.any():
            made.append(old)
            continue
        inside, escape = old[:-1] / TOTAL, old[-1] / TOTAL
        mass = (seen + seen[::-1]) / 2 + PSEUDO_COUNTS * inside
        made.append(_frequencies(np.append(mass / mass.sum() * (1 - escape), escape)))
    return Tables(np.concatenate(made), tables.reach)


def _table(scale: float) -> NDArray[np.uint32]:
    reach = math.ceil(5 * scale) + 2
    half = [_mass(k, scale) for k in range(reach + 1)]
    inside = np.array(half[:0:-1] + half)
    escape = max(1 - inside.sum(), 2 * _mass(reach + 1, scale))
    return _frequencies(np.append(inside, escape))


def _frequencies(mass: NDArray[np.float64]) -> NDArray[np.uint32]:
    free = TOTAL - len(mass)
    frequencies = np.floor(mass / mass.sum() * free).astype(np.int64) + 1
    zero = (len(mass) - 2) // 2
    frequencies[zero] += TOTAL - frequencies.sum()  # what rounding left over goes to the most likely residual
    return frequencies.astype(np.uint32)


def _mass(residual: int, scale: float) -> float:
    width = scale * math.sqrt(2)
    gaussian = 0.5 * (math.erfc((residual - 0.5) / width) - math.erfc((residual + 0.5) / width))
    return gaussian + 2.0 ** (TAIL_LOG2_WEIGHT - residual / tail_slope(scale)) / (scale + 1)
