"""Range coding of residuals whose table is known: a thin layer over a range coder, constriction's or our own.

Symbols are grouped by table, because range coders code many symbols of one model at once: bins in
ascending order, and in a bin the order in which the residuals stand. What no table reaches is written as
an escape and follows after the groups, as an Elias-gamma code in equiprobable bits.

>>> from finola_codec.entropy.tables import build
>>> residuals, bins = np.array([0, -3, 90000], np.int32), np.array([4, 30, 8], np.uint8)
>>> models = Models(build())
>>> writer = Writer(models)
>>> writer.write(residuals, bins)
>>> Reader(models, writer.finish()).read(bins)
array([    0,    -3, 90000], dtype=int32)
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy import range_coder
from finola_codec.entropy.tables import TOTAL, Tables
from finola_codec.errors import FormatError

ESCAPE_BITS = 22  # an escaped residual exceeds its table's reach by less than 2^22
MAX_RESIDUAL = 2**20

Model = Any  # of a range coder: a distribution of symbols


class Encoder(Protocol):
    """Symbols to words."""

    def encode(self, symbols: NDArray[np.int32], model: Model) -> None: ...

    def words(self) -> NDArray[np.uint32]: ...


class Decoder(Protocol):
    """Words to symbols."""

    def decode(self, model: Model, count: int) -> NDArray[np.int32]: ...

    def position(self) -> range_coder.Position: ...


class RangeCoder(Protocol):
    """What the two modules have that implement one."""

    def table(self, frequencies: NDArray[np.integer]) -> Model: ...

    def uniform(self, size: int) -> Model: ...

    def Encoder(self) -> Encoder: ...

    def Decoder(self, words: NDArray[np.uint32]) -> Decoder: ...


RANGE_CODER: RangeCoder
try:
    from finola_codec.entropy import constriction_coder

    RANGE_CODER = constriction_coder
except ImportError:  # constriction is not for every machine
    RANGE_CODER = range_coder


class Models:
    """A range coder's models of the tables, made when first used and worth keeping: that takes longer than coding."""

    def __init__(self, tables: Tables, coder: RangeCoder = RANGE_CODER) -> None:
        self.tables = tables
        self.coder = coder
        self._made: dict[int, Model] = {}

    def __getitem__(self, index: int) -> Model:
        if index not in self._made:
            self._made[index] = self.coder.table(self.tables.of(index))
        return self._made[index]

    def flags(self, frequency: int) -> Model:
        """Return the model of flags of which a share of ``frequency`` / 2^24 is true."""
        return self.coder.table(np.array([TOTAL - frequency, frequency]))


class _Order(NamedTuple):
    """The order in which residuals are coded: by bin. Most are of bin 0, so those are not sorted but picked out."""

    first: NDArray[np.bool_]  # which residuals are of bin 0
    others: NDArray[np.intp]  # the places of all others, in that order
    reach: NDArray[np.int32]  # of their tables, bin 0 first
    groups: list[tuple[int, slice]]  # the bins that occur, and where in that order


def _order(bins: NDArray[np.uint8], tables: Tables) -> _Order:
    first = bins == 0
    places = np.flatnonzero(~first)
    others = bins[places]
    counts = np.bincount(others, minlength=len(tables.reach))
    counts[0] = len(bins) - len(others)
    ends = np.cumsum(counts)
    groups = [(int(i), slice(ends[i] - counts[i], ends[i])) for i in np.flatnonzero(counts)]
    reach = np.repeat(tables.reach.astype(np.int32), counts)
    return _Order(first, places[np.argsort(others, kind="stable")], reach, groups)


class Writer:
    """Collects residuals into one range-coded payload."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._encoder = models.coder.Encoder()

    def write(self, residuals: NDArray[np.int32], bins: NDArray[np.uint8]) -> None:
        """Code ``residuals`` (N,), at most ``MAX_RESIDUAL`` in size, under the tables ``bins`` (N,)."""
        first, others, reach, groups = _order(bins, self._models.tables)
        values = np.concatenate([residuals[first], residuals[others]])
        escaped = np.flatnonzero(np.abs(values) > reach)
        symbols = values + reach
        symbols[escaped] = 2 * reach[escaped] + 1
        for index, group in groups:
            self._encoder.encode(symbols[group], self._models[index])
        if len(escaped):
            values, reach = values[escaped], reach[escaped]
            self._write_escapes(np.where(values > 0, values - reach, values + reach))

    def write_uniform(self, value: int, out_of: int) -> None:
        """Code a ``value`` within 0..out_of - 1, all of which are alike."""
        self._encoder.encode(np.array([value], np.int32), self._models.coder.uniform(out_of))

    def write_flags(self, flags: NDArray[np.bool_], frequency: int) -> None:
        """Code ``flags`` (N,), of which a share of ``frequency`` / 2^24 is expected to be true."""
        self._encoder.encode(flags.astype(np.int32), self._models.flags(frequency))

    def _write_escapes(self, excess: NDArray[np.int32]) -> None:
        size = np.abs(excess).astype(np.int64)  # 1 or more
        bits = np.frexp(size)[1] - 1  # floor(log2(size)), exactly
        self._encoder.encode(bits.astype(np.int32), self._models.coder.uniform(ESCAPE_BITS))
        for count in np.flatnonzero(np.bincount(bits)):
            chosen = bits == count
            sign = excess[chosen] < 0
            symbols = (2 * (size[chosen] - 2**count) + sign).astype(np.int32)
            self._encoder.encode(symbols, self._models.coder.uniform(2 ** (int(count) + 1)))

    def finish(self) -> bytes:
        """Return the payload: 32-bit little-endian words."""
        return self._encoder.words().astype("<u4").tobytes()


class Reader:
    """Reads residuals back from a payload."""

    def __init__(self, models: Models, payload: bytes) -> None:
        if len(payload) % 4:
            raise FormatError("a range-coded payload is not a whole number of 32-bit words")
        self._models = models
        self._words = np.frombuffer(payload, "<u4").astype(np.uint32)
        self._decoder = models.coder.Decoder(self._words)
        self.intact = True

    def read(self, bins: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Return the residuals (N,) that were written under the tables ``bins`` (N,).

        Raises :class:`FormatError` where the payload makes no sense, or a residual exceeds ``MAX_RESIDUAL``.
        """
        first, others, reach, groups = _order(bins, self._models.tables)
        values = np.empty(len(bins), np.int32)
        for index, group in groups:
            values[group] = self._decoder.decode(self._models[index], group.stop - group.start)
        values -= reach
        escaped = np.flatnonzero(values > reach)
        if len(escaped):
            excess = self._read_escapes(len(escaped))
            values[escaped] = excess + np.sign(excess) * reach[escaped]
            if np.abs(values[escaped]).max() > MAX_RESIDUAL:
                raise FormatError(f"the range-coded payload is damaged: a residual exceeds {MAX_RESIDUAL}")
        residuals = np.empty_like(values)
        residuals[first] = values[: len(bins) - len(others)]
        residuals[others] = values[len(bins) - len(others) :]
        if len(bins) and self._decoder.position().shifts >= len(self._words):  # at once: more work may depend on it
            raise FormatError("the range-coded payload ends before its content does")
        return residuals

    def read_uniform(self, out_of: int) -> int:
        """Return the value that :meth:`Writer.write_uniform` wrote."""
        return int(self._decoder.decode(self._models.coder.uniform(out_of), 1)[0])

    def read_flags(self, count: int, frequency: int) -> NDArray[np.bool_]:
        """Return the flags (count,) that :meth:`Writer.write_flags` wrote."""
        return self._decoder.decode(self._models.flags(frequency), count).astype(bool)

    def _read_escapes(self, count: int) -> NDArray[np.int32]:
        bits = self._decoder.decode(self._models.coder.uniform(ESCAPE_BITS), count)
        excess = np.empty(count, np.int32)
        for size in np.flatnonzero(np.bincount(bits)):
            chosen = bits == size
            coded = self._decoder.decode(self._models.coder.uniform(2 ** (int(size) + 1)), int(chosen.sum()))
            excess[chosen] = np.where(coded % 2, -1, 1) * (coded // 2 + 2**size)
        return excess

    def read_while_intact(self, bins: NDArray[np.uint8]) -> NDArray[np.int32]:
        """As :meth:`read` for a payload of which only a beginning is there: zeros where it no longer suffices.

        A batch counts as read when no words that might have followed could have changed a residual of it.
        """
        if self.intact:
            try:
                residuals = self.read(bins)
                self.intact = self._decoder.position().certain(len(self._words))
            except FormatError:
                self.intact = False
        return residuals if self.intact else np.zeros(len(bins), np.int32)

    def finish(self) -> None:
        """Raise :class:`FormatError` unless the payload is what a writer makes of what was read."""
        if not self._decoder.position().ends(self._words):
            raise FormatError("the range-coded payload does not end where its content does")
