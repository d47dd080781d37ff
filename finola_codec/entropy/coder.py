"""Range coding of residuals whose table is known: a thin layer over constriction.

Symbols are grouped by table, because constriction codes many symbols of one concrete model at once: bins in
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

from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.scales import BINS
from finola_codec.entropy.tables import TOTAL, Tables
from finola_codec.errors import FormatError

Model = Any  # of constriction, which has no type stubs
Categorical = constriction.stream.model.Categorical
Uniform = constriction.stream.model.Uniform
RangeEncoder = constriction.stream.queue.RangeEncoder
RangeDecoder = constriction.stream.queue.RangeDecoder

ESCAPE_BITS = 22  # an escaped residual exceeds its table's reach by less than 2^22 - 1
MAX_RESIDUAL = 2**20
WORD = 32  # bits


class Models:
    """constriction's models of the tables, made when first used and worth keeping: that takes longer than coding."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._made: dict[int, Model] = {}

    def __getitem__(self, index: int) -> Model:
        if index not in self._made:
            # The fast quantization gives symbol i the frequency 1 + p_i * (2^24 - n) / sum(p); with
            # p_i = f_i - 1 the factor is exactly one, so the frequencies are the table's to the last bit.
            weights = self.tables.of(index).astype(np.float64) - 1
            self._made[index] = Categorical(weights, perfect=False)
        return self._made[index]


def _groups(bins: NDArray[np.uint8]) -> list[tuple[int, NDArray[np.intp]]]:
    order = np.argsort(bins, kind="stable")
    counts = np.bincount(bins, minlength=BINS)
    ends = np.cumsum(counts)
    return [(int(i), order[ends[i] - counts[i] : ends[i]]) for i in np.flatnonzero(counts)]


def _flag_model(frequency: int) -> Model:
    return Categorical(np.array([TOTAL - frequency - 1.0, frequency - 1.0]), perfect=False)


class Writer:
    """Collects residuals into one range-coded payload."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._coder = RangeEncoder()

    def write(self, residuals: NDArray[np.int32], bins: NDArray[np.uint8]) -> None:
        """Code ``residuals`` (N,), at most ``MAX_RESIDUAL`` in size, under the tables ``bins`` (N,)."""
        excesses = []
        for index, where in _groups(bins):
            reach = int(self._models.tables.reach[index])
            values = residuals[where]
            outside = np.abs(values) > reach
            self._coder.encode(np.where(outside, 2 * reach + 1, values + reach).astype(np.int32), self._models[index])
            if outside.any():
                excesses.append(np.where(values > 0, values - reach, values + reach)[outside])
        if excesses:
            self._write_escapes(np.concatenate(excesses))

    def write_uniform(self, value: int, out_of: int) -> None:
        """Code a ``value`` within 0..out_of - 1, all of which are alike."""
        self._coder.encode(np.array([value], np.int32), Uniform(out_of))

    def write_flags(self, flags: NDArray[np.bool_], frequency: int) -> None:
        """Code ``flags`` (N,), of which a share of ``frequency`` / 2^24 is expected to be true."""
        self._coder.encode(flags.astype(np.int32), _flag_model(frequency))

    def _write_escapes(self, excess: NDArray[np.int32]) -> None:
        size = np.abs(excess).astype(np.int64)  # 1 or more
        bits = np.floor(np.log2(size)).astype(np.int32)  # exact: sizes are far below 2^53
        self._coder.encode(bits, Uniform(ESCAPE_BITS))
        for count in np.unique(bits):
            chosen = bits == count
            sign = (excess[chosen] < 0).astype(np.int32)
            self._coder.encode((2 * (size[chosen] - 2**count) + sign).astype(np.int32), Uniform(2 ** (int(count) + 1)))

    def finish(self) -> bytes:
        """The payload: 32-bit little-endian words."""
        return self._coder.get_compressed().astype("<u4").tobytes()


class Reader:
    """Reads residuals back from a payload."""

    def __init__(self, models: Models, payload: bytes) -> None:
        if len(payload) % 4:
            raise FormatError("a range-coded payload is not a whole number of 32-bit words")
        self._models = models
        self._coder = RangeDecoder(np.frombuffer(payload, "<u4").astype(np.uint32))
        self._bits_left = 8.0 * len(payload)
        self.intact = True

    def read(self, bins: NDArray[np.uint8]) -> NDArray[np.int32]:
        """The residuals (N,) that were written under the tables ``bins`` (N,)."""
        residuals = np.empty(len(bins), np.int32)
        escaped = []
        for index, where in _groups(bins):
            reach = int(self._models.tables.reach[index])
            values = self._decode(self._models[index], len(where)) - reach
            residuals[where] = values
            if (values > reach).any():
                escaped.append(where[values > reach])
        if escaped:
            places = np.concatenate(escaped)
            excess = self._read_escapes(len(places))
            residuals[places] = excess + np.sign(excess) * self._models.tables.reach[bins[places]]
        return residuals

    def read_uniform(self, out_of: int) -> int:
        """The value that :meth:`Writer.write_uniform` wrote."""
        return int(self._decode(Uniform(out_of), 1)[0])

    def read_flags(self, count: int, frequency: int) -> NDArray[np.bool_]:
        """The flags (count,) that :meth:`Writer.write_flags` wrote."""
        return self._decode(_flag_model(frequency), count).astype(bool)

    def _read_escapes(self, count: int) -> NDArray[np.int32]:
        bits = self._decode(Uniform(ESCAPE_BITS), count)
        excess = np.empty(count, np.int32)
        for size in np.unique(bits):
            chosen = bits == size
            coded = self._decode(Uniform(2 ** (int(size) + 1)), int(chosen.sum()))
            excess[chosen] = np.where(coded % 2, -1, 1) * (coded // 2 + 2**size)
        return excess

    def _decode(self, model: Model, count: int) -> NDArray[np.int32]:
        try:
            return self._coder.decode(model, count)
        except (AssertionError, ValueError) as error:  # how constriction says that the words make no sense
            raise FormatError(f"the range-coded payload is damaged: {error}") from error

    def read_while_intact(self, bins: NDArray[np.uint8]) -> NDArray[np.int32]:
        """As :meth:`read` for a payload of which only a beginning is there: zeros where it no longer suffices.

        A batch counts as read when the payload holds the bits that its residuals cost, and a word more.
        """
        if not self.intact:
            return np.zeros(len(bins), np.int32)
        try:
            residuals = self.read(bins)
        except FormatError:
            residuals = np.zeros(len(bins), np.int32)
            self.intact = False
        self._bits_left -= float(self._models.tables.bits(residuals, bins).sum(dtype=np.float64))
        self.intact = self.intact and self._bits_left >= WORD
        return residuals if self.intact else np.zeros(len(bins), np.int32)

    def finish(self) -> None:
        """Raise :class:`FormatError` if words are left over."""
        if not self._coder.maybe_exhausted():
            raise FormatError("the range-coded payload does not end where its content does")
