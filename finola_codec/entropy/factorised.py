"""The exact factorised prior: a table for each channel and quality, moved by the activity of each tile.

A C-vector is a row of slots, each of ``depth`` numbers, one of each *component*. A tile with little in it has narrower
distributions than most, and a busy one has wider ones. So a tile first tells its *activity*: for each component, by
how many bins the tables of that component move in all slots. Tiles are coded one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy import fixed
from finola_codec.entropy.coder import MAX_RESIDUAL, Models, Reader, Writer
from finola_codec.entropy.exact import Floats, Mask, Payloads, Price
from finola_codec.entropy.fixed import Integers
from finola_codec.entropy.quantizer import cheaper, nearest
from finola_codec.entropy.scales import ACTIVITY_BINS, ACTIVITY_TABLE, BINS, MAX_ACTIVITY
from finola_codec.entropy.tables import Tables
from finola_codec.errors import FormatError, ModelError

ROUNDS = 2  # of rate-distortion optimised quantization: residuals and activity are each chosen given the other

Bins = NDArray[np.uint8]


class _Tile(NamedTuple):
    activity: Integers  # (depth,)
    bins: Bins  # (C,), moved by it
    residuals: Integers  # (C,)


class ExactFactorised:
    """Codes grids of C-vectors. ``arrays`` are ``step`` and ``bin``, (100, C) by quality.

    A decoded number is its residual times its quantizer step, so nothing is computed that could differ between
    machines.
    """

    error_weight = 1.0

    def __init__(self, arrays: Mapping[str, NDArray[np.integer]], tables: Tables, depth: int) -> None:
        self._steps = np.asarray(arrays["step"], dtype=np.float64)
        self._bins = np.asarray(arrays["bin"]).astype(np.uint8)
        self._tables = tables
        self._models = Models(tables)
        self._activity_bins = np.full(depth, ACTIVITY_TABLE, np.uint8)

    def bounds(self) -> dict[str, float]:
        """Return the largest possible value. Raises :class:`ModelError` where it is not exact."""
        largest = float(MAX_RESIDUAL * self._steps.max())
        if largest >= fixed.EXACT:
            raise ModelError(f"values may reach {largest:.3g}, beyond 2^53, where they are no longer exact")
        return {"values": largest}

    def parts(self, grid: tuple[int, int]) -> int:
        """Return how many parts the coded vectors of a grid have: one a tile."""
        return grid[0] * grid[1]

    def encode(
        self,
        y: Floats,
        z: Floats | None,
        quality: int,
        price: Price | None = None,
        free: Mask | None = None,
        out: Integers | None = None,
        bits: Floats | None = None,
    ) -> Payloads:
        """Quantize and code C-vectors ``y`` (h, w, C); there are no hyper vectors ``z``.

        With a ``price``, the bits that a squared error of one natural unit is worth, everywhere or in each tile (h, w),
        quantization is rate-distortion optimised. Tiles that are ``free`` (h, w) have residuals of zero. The decoded
        integers are written into ``out`` (h, w, C) if it is given; it may share its memory with ``y``. What each tile
        takes is added to ``bits`` (h, w) if that is given.
        """
        writer = Writer(self._models)
        out = np.empty(y.shape, np.int32) if out is None else out
        vectors = y if free is None else np.where(free[:, :, None], np.float32(0), y)
        for position, tile in zip(np.ndindex(*y.shape[:2]), self._quantize(vectors, quality, price), strict=True):
            writer.write(tile.activity, self._activity_bins)
            writer.write(tile.residuals, tile.bins)
            out[position] = self._values(tile.residuals, quality)
            if bits is not None:
                bits[position] += self._tables.bits(tile.residuals, tile.bins).sum()
        return Payloads(b"", writer.finish(), out)

    def count(self, y: Floats, z: Floats | None, quality: int, price: float) -> NDArray[np.int64]:
        """Return how often each residual occurs under each table where :meth:`encode` would code it.

        The result is (BINS, 2 * largest reach + 1), the residual zero in the middle. Larger ones are not counted.
        """
        counts = self._tables.no_counts()
        for tile in self._quantize(y, quality, price):
            self._tables.add_counts(counts, tile.activity, self._activity_bins)
            self._tables.add_counts(counts, tile.residuals, tile.bins)
        return counts

    def residuals(self, y: Floats, quality: int, price: Price | None) -> Integers:
        """Return what is coded in the place of ``y`` (h, w, C): integers (h * w, C), in quantizer steps."""
        return np.stack([tile.residuals for tile in self._quantize(y, quality, price)])

    def _quantize(self, y: Floats, quality: int, price: Price | None) -> Iterator[_Tile]:
        size = self._steps[quality - 1] / fixed.ONE
        bins = self._bins[quality - 1]
        prices = np.broadcast_to(0.0 if price is None else price, y.shape[:2]).ravel()
        for vector, worth in zip(y.reshape(-1, y.shape[2]), prices, strict=True):
            wanted = vector / size
            residuals = nearest(wanted)
            activity = self._activity(residuals, bins)
            for _ in range(0 if price is None else ROUNDS):
                moved = _moved(bins, activity)
                residuals = cheaper(wanted[None], moved[None], worth * size**2, self._tables)[0]
                activity = self._activity(residuals, bins)
            yield _Tile(activity, _moved(bins, activity), residuals)

    def _activity(self, residuals: Integers, bins: Bins) -> Integers:
        """Return the activity (depth,) that ``residuals`` take the fewest bits with."""
        depth = len(self._activity_bins)
        levels = np.arange(-MAX_ACTIVITY, MAX_ACTIVITY + 1, dtype=np.int32)
        costs = [
            self._tables.bits(residuals, _moved(bins, np.full(depth, level, np.int32))).reshape(-1, depth).sum(0)
            for level in levels
        ]
        own = self._tables.bits(levels, np.full(len(levels), ACTIVITY_TABLE, np.uint8))
        return levels[(np.stack(costs, axis=1) + own).argmin(1)]

    def decode(self, hyper: bytes, vectors: bytes, grid: tuple[int, int], quality: int) -> Integers:
        """Return the C-vectors (h, w, C) as integers with ACTIVATION_BITS fractional bits.

        Raises :class:`FormatError` where a payload is damaged beyond what its checksum told.
        """
        reader = self._reader(hyper, vectors)
        tiles = [self._read(reader.read, quality) for _ in range(grid[0] * grid[1])]
        reader.finish()
        return np.stack(tiles).reshape(*grid, -1)

    def salvage(self, hyper: bytes, vectors: bytes, grid: tuple[int, int], quality: int) -> tuple[Integers, int]:
        """Return what the beginning of ``vectors`` gives, grey where it ends, and how many tiles it holds."""
        reader = self._reader(hyper, vectors[: len(vectors) // 4 * 4])
        tiles, intact = [], 0
        for _ in range(grid[0] * grid[1]):
            tiles.append(self._read(reader.read_while_intact, quality))
            intact += reader.intact
        return np.stack(tiles).reshape(*grid, -1), intact

    def _reader(self, hyper: bytes, vectors: bytes) -> Reader:
        if hyper:
            raise FormatError("the file has hyper vectors, which its model does not")
        return Reader(self._models, vectors)

    def _read(self, read: Callable[[Bins], Integers], quality: int) -> Integers:
        """Return the values (C,) of the next tile."""
        activity = read(self._activity_bins)
        return self._values(read(_moved(self._bins[quality - 1], activity)), quality)

    def _values(self, residuals: Integers, quality: int) -> Integers:
        return np.clip(residuals * self._steps[quality - 1], -fixed.LIMIT, fixed.LIMIT).astype(np.int32)


def _moved(bins: Bins, activity: Integers) -> Bins:
    """Return the tables of all slots, ``bins`` (C,), moved by the activity of each component (depth,)."""
    moved = bins.reshape(-1, len(activity)) + ACTIVITY_BINS * activity
    return np.clip(moved, 0, BINS - 1).astype(np.uint8).ravel()
