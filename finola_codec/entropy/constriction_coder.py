"""constriction's range coder, behind the names of :mod:`finola_codec.entropy.range_coder`."""

from __future__ import annotations

from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.range_coder import BASE, STATE_WORDS, WORD, Position
from finola_codec.errors import FormatError

Model = Any  # constriction has no type stubs


def table(frequencies: NDArray[np.integer]) -> Model:
    """Return the model of positive ``frequencies`` that add up to 2^24."""
    # The fast quantization gives symbol i the frequency 1 + p_i * (2^24 - n) / sum(p); with
    # p_i = f_i - 1 the factor is exactly one, so the frequencies are the table's to the last bit.
    return constriction.stream.model.Categorical(frequencies.astype(np.float64) - 1, perfect=False)


def uniform(size: int) -> Model:
    """Return the model of ``size`` symbols alike; what 2^24 leaves over goes to the last one."""
    return constriction.stream.model.Uniform(size)


class Encoder:
    """Symbols to words."""

    def __init__(self) -> None:
        self._encoder = constriction.stream.queue.RangeEncoder()

    def encode(self, symbols: NDArray[np.int32], model: Model) -> None:
        """Append ``symbols`` (N,)."""
        self._encoder.encode(symbols, model)

    def words(self) -> NDArray[np.uint32]:
        """All that was encoded. More may be encoded afterwards, as if this had not been called."""
        return self._encoder.get_compressed()


class Decoder:
    """Words to symbols.

    constriction's decoder does not tell where it stands. An encoder that repeats what was read does, and takes a
    quarter of the decoder's time.
    """

    def __init__(self, words: NDArray[np.uint32]) -> None:
        self._words = words
        self._decoder = constriction.stream.queue.RangeDecoder(words)
        self._repeated = constriction.stream.queue.RangeEncoder()

    def decode(self, model: Model, count: int) -> NDArray[np.int32]:
        """Return the next ``count`` symbols. Raises :class:`FormatError` where the words make no sense."""
        try:
            symbols = self._decoder.decode(model, count)
        except (AssertionError, ValueError) as error:  # how constriction says so
            raise FormatError(f"the range-coded payload is damaged: {error}") from error
        self._repeated.encode(symbols, model)
        return symbols

    def position(self) -> Position:
        """Return where the last symbol decoded has left it."""
        shifts, (lower, size) = self._repeated.pos()
        point = 0
        for word in [*self._words[shifts : shifts + STATE_WORDS].tolist(), 0, 0][:STATE_WORDS]:
            point = point << WORD | word
        return Position(shifts, (point - lower) % BASE**STATE_WORDS, size)
