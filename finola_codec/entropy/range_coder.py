"""The range coder of ``docs/format.md`` in Python, for machines on which constriction does not install.

Word for word the same as :mod:`finola_codec.entropy.constriction_coder`, and ten to thirty times slower. A model is
its cumulative frequencies: symbol s has those from ``model[s]`` up to ``model[s + 1]``, out of 2^24.

>>> model, encoder = table(np.array([2**24 - 5, 4, 1])), Encoder()
>>> encoder.encode(np.array([0, 0, 2, 0, 1, 0], np.int32), model)
>>> decoder = Decoder(encoder.words())
>>> decoder.decode(model, 6), decoder.position().ends(encoder.words())
(array([0, 0, 2, 0, 1, 0], dtype=int32), True)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.tables import PRECISION, TOTAL
from finola_codec.errors import FormatError

WORD = 32
STATE_WORDS = 2
BASE = 2**WORD
START = BASE**2 - 1  # the size of the range before anything is coded; it is never as large again

Model = Sequence[int]


def table(frequencies: NDArray[np.integer]) -> Model:
    """Return the model of positive ``frequencies`` that add up to 2^24."""
    return [0, *np.cumsum(frequencies, dtype=np.int64).tolist()]


def uniform(size: int) -> Model:
    """Return the model of ``size`` symbols alike; what 2^24 leaves over goes to the last one."""
    step = TOTAL // size
    return range(0, TOTAL + 1, step) if TOTAL % size == 0 else [*range(0, size * step, step), TOTAL]


class Position(NamedTuple):
    """Where a decoder stands."""

    shifts: int  # how many words have left the decoder's state
    offset: int  # how far the point lies above the lower end of the range
    size: int  # size of the range

    def certain(self, words: int) -> bool:
        """Return whether the first ``words`` words alone tell all that was decoded, whatever may follow them."""
        missing = self.shifts + STATE_WORDS - words  # words in the state that the payload does not hold
        return missing <= 0 or (missing == 1 and self.offset + BASE <= self.size)

    def ends(self, words: NDArray[np.uint32]) -> bool:
        """Return whether ``words``, all of them, are what an encoder writes for what was decoded."""
        if self.size == START:
            return len(words) == 0
        lower = -self.offset % BASE  # its lower half, since that of the point must be zero
        second = lower > 0 and lower + self.size < 2 * BASE
        expected = self.shifts + 1 + second
        return len(words) == expected and self.offset < BASE and not words[self.shifts + 1 :].any()


class Encoder:
    """Symbols to words."""

    def __init__(self) -> None:
        self._digits: list[int] = []  # words to which a carry, bit 32, may still have to be added on their left
        self._lower = 0  # may exceed 64 bits by a carry
        self._range = START

    def encode(self, symbols: NDArray[np.int32], model: Model) -> None:
        """Append ``symbols`` (N,)."""
        lower, size = self._lower, self._range
        for symbol in symbols.tolist():
            start = model[symbol]
            scale = size >> PRECISION
            lower += scale * start
            size = scale * (model[symbol + 1] - start)
            if size < BASE:
                self._digits.append(lower >> WORD)
                lower = lower % BASE << WORD
                size <<= WORD
        self._lower, self._range = lower, size

    def words(self) -> NDArray[np.uint32]:
        """All that was encoded. More may be encoded afterwards, as if this had not been called."""
        if self._range == START:
            return np.empty(0, np.uint32)
        last = self._lower + BASE - 1 >> WORD
        digits = [*self._digits, last]
        if self._lower + self._range >> WORD == last:
            digits.append(0)
        for i in range(len(digits) - 1, 0, -1):
            digits[i - 1] += digits[i] >> WORD
        return (np.array(digits, np.int64) % BASE).astype(np.uint32)


class Decoder:
    """Words to symbols."""

    def __init__(self, words: NDArray[np.uint32]) -> None:
        self._ahead: Iterator[int] = chain(words.tolist(), repeat(0))
        self._position = Position(0, next(self._ahead) << WORD | next(self._ahead), START)

    def decode(self, model: Model, count: int) -> NDArray[np.int32]:
        """Return the next ``count`` symbols. Raises :class:`FormatError` where the words make no sense."""
        likely = len(model) // 2 - 1  # the residual zero: a guess that saves most divisions
        start, frequency = model[likely], model[likely + 1] - model[likely]
        symbols = [likely] * count
        shifts, offset, size = self._position
        for i in range(count):
            scale = size >> PRECISION
            beyond = offset - scale * start
            size = scale * frequency
            if 0 <= beyond < size:
                offset = beyond
            else:
                quantile = offset // scale
                if quantile >= TOTAL:
                    raise FormatError("the range-coded payload is damaged: no symbol has such a code")
                symbols[i] = symbol = bisect_right(model, quantile) - 1
                offset -= scale * model[symbol]
                size = scale * (model[symbol + 1] - model[symbol])
            if size < BASE:
                shifts += 1
                offset = offset << WORD | next(self._ahead)
                size <<= WORD
        self._position = Position(shifts, offset, size)
        return np.array(symbols, np.int32)

    def position(self) -> Position:
        """Return where the last symbol decoded has left it."""
        return self._position
