"""constriction's range coder, behind the names of :mod:`finola_codec.entropy.range_coder`."""

from __future__ import annotations

from typing import Any, NamedTuple

import constriction
import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.range_coder import BASE, STATE_WORDS, TOTAL, WORD, Position
from finola_codec.errors import FormatError

SHORTEST_RUN = 512  # guessing fewer symbols than that at once takes longer than decoding them


class Model(NamedTuple):
    """A distribution, and what to guess of it."""

    distribution: Any  # constriction has no type stubs
    likely: int = 0  # the most likely symbol
    run: int = 0  # so many of it in a row are worth a guess; 0 if it is never worth it


def table(frequencies: NDArray[np.integer]) -> Model:
    """Return the model of positive ``frequencies`` that add up to 2^24."""
    # The fast quantization gives symbol i the frequency 1 + p_i * (2^24 - n) / sum(p); with
    # p_i = f_i - 1 the factor is exactly one, so the frequencies are the table's to the last bit.
    distribution = constriction.stream.model.Categorical(frequencies.astype(np.float64) - 1, perfect=False)
    likely = int(frequencies.argmax())
    run = TOTAL // (TOTAL - int(frequencies[likely])) // 16  # 15 of 16 guesses are right
    return Model(distribution, likely, run if run >= SHORTEST_RUN else 0)


def uniform(size: int) -> Model:
    """Return the model of ``size`` symbols alike; what 2^24 leaves over goes to the last one."""
    return Model(constriction.stream.model.Uniform(size))


class Encoder:
    """Symbols to words."""

    def __init__(self) -> None:
        self._encoder = constriction.stream.queue.RangeEncoder()

    def encode(self, symbols: NDArray[np.int32], model: Model) -> None:
        """Append ``symbols`` (N,)."""
        self._encoder.encode(symbols, model.distribution)

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
        if not model.run or count < model.run:
            return self._decode(model, count)
        symbols = np.full(count, model.likely, np.int32)
        start = self._guess(model, symbols)
        while start < count:
            wrong = slice(start, start + model.run)
            symbols[wrong] = self._decode(model, len(symbols[wrong]))
            start = min(count, wrong.stop)
            start += self._guess(model, symbols[start:])
        return symbols

    def _decode(self, model: Model, count: int) -> NDArray[np.int32]:
        try:
            symbols = self._decoder.decode(model.distribution, count)
        except (AssertionError, ValueError) as error:  # how constriction says so
            raise FormatError(f"the range-coded payload is damaged: {error}") from error
        self._repeated.encode(symbols, model.distribution)
        return symbols

    def _guess(self, model: Model, symbols: NDArray[np.int32]) -> int:
        """Return how many of ``symbols``, which are all the likely one, come next for sure, in whole runs.

        That they do is told by the repeated encoder: the point still lies within its range after them. It takes a
        quarter of the time that decoding takes. No word may leave the state meanwhile, since the point might then
        have left the range by a multiple of all that the state holds.
        """
        shifts, _ = self._repeated.pos()
        if shifts > len(self._words):  # the payload ended long ago, and constriction does not seek there
            return 0
        before, point, sure = self._repeated.clone(), self._point(shifts), 0
        while sure < len(symbols):
            self._repeated.encode(symbols[sure : sure + model.run], model.distribution)
            shifted, (lower, size) = self._repeated.pos()
            if shifted > shifts or (point - lower) % BASE**STATE_WORDS >= size:
                self._repeated = before
                self._repeated.encode(symbols[:sure], model.distribution)
                break
            sure += model.run
        if sure:
            self._decoder.seek(*self._repeated.pos())
        return min(sure, len(symbols))

    def position(self) -> Position:
        """Return where the last symbol decoded has left it."""
        shifts, (lower, size) = self._repeated.pos()
        return Position(shifts, (self._point(shifts) - lower) % BASE**STATE_WORDS, size)

    def _point(self, shifts: int) -> int:
        first, second = [*self._words[shifts : shifts + STATE_WORDS].tolist(), 0, 0][:STATE_WORDS]
        return first << WORD | second
