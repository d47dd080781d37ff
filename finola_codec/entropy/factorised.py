"""A prior without context: one table for each channel and quality. Tiles are coded one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy import fixed
from finola_codec.entropy.coder import MAX_RESIDUAL, Models, Reader, Writer
from finola_codec.entropy.coding import Integers, Payloads
from finola_codec.entropy.quantizer import cheaper, nearest
from finola_codec.entropy.tables import Tables
from finola_codec.errors import FormatError, ModelError


class FactorisedPrior:
    """Codes grids of C-vectors; ``arrays`` are ``step`` and ``bin``, (100, C) by quality.

    A decoded number is its residual times its step: there is nothing to compute that could differ between machines.
    """

    error_weight = 1.0

    def __init__(self, arrays: Mapping[str, NDArray[np.integer]], tables: Tables) -> None:
        self._steps = np.asarray(arrays["step"], dtype=np.float64)
        self._bins = np.asarray(arrays["bin"]).astype(np.uint8)
        self._tables = tables
        self._models = Models(tables)

    def bounds(self) -> dict[str, float]:
        """The largest possible value. Raises :class:`ModelError` where it is not exact."""
        largest = float(MAX_RESIDUAL * self._steps.max())
        if largest >= fixed.EXACT:
            raise ModelError(f"values may reach {largest:.3g}, beyond 2^53, where they are no longer exact")
        return {"values": largest}

    def batches(self, grid: tuple[int, int]) -> int:
        """How many parts the coded vectors of a grid have: one a tile."""
        return grid[0] * grid[1]

    def encode(
        self, y: NDArray[np.float32], z: NDArray[np.float32] | None, quality: int, price: float | None = None
    ) -> Payloads:
        """Quantize and code C-vectors ``y`` (h, w, C); there are no hyper vectors ``z``.

        With a ``price``, the bits that a squared error of one natural unit is worth, quantization is
        rate-distortion optimised.
        """
        writer = Writer(self._models)
        residuals = self.residuals(y, quality, price)
        for row in residuals:
            writer.write(row, self._bins[quality - 1])
        return Payloads(b"", writer.finish(), self._values(residuals, quality).reshape(y.shape))

    def count(
        self, y: NDArray[np.float32], z: NDArray[np.float32] | None, quality: int, price: float
    ) -> NDArray[np.int64]:
        """How often each residual occurs under each table, as ``HyperPrior.count`` gives it."""
        counts = self._tables.no_counts()
        residuals = self.residuals(y, quality, price)
        self._tables.add_counts(counts, residuals, np.broadcast_to(self._bins[quality - 1], residuals.shape))
        return counts

    def residuals(self, y: NDArray[np.float32], quality: int, price: float | None) -> Integers:
        """What is coded in the place of ``y`` (h, w, C): integers (h * w, C), in quantizer steps."""
        size = self._steps[quality - 1] / fixed.ONE
        wanted = y.reshape(-1, y.shape[2]) / size
        if price is None:
            return nearest(wanted)
        bins = np.broadcast_to(self._bins[quality - 1], wanted.shape)
        return cheaper(wanted, bins, price * size**2, self._tables)

    def decode(self, hyper: bytes, vectors: bytes, grid: tuple[int, int], quality: int) -> Integers:
        """The C-vectors (h, w, C) as integers with ACTIVATION_BITS fractional bits.

        Raises :class:`FormatError` where a payload is damaged beyond what its checksum told.
        """
        reader = self._reader(hyper, vectors)
        decoded = self._read(reader.read, grid, quality)
        reader.finish()
        return decoded

    def salvage(self, hyper: bytes, vectors: bytes, grid: tuple[int, int], quality: int) -> tuple[Integers, int]:
        """What the beginning of ``vectors`` gives, grey where it ends, and how many tiles it holds."""
        reader = self._reader(hyper, vectors[: len(vectors) // 4 * 4])
        intact = 0

        def read(bins: NDArray[np.uint8]) -> Integers:
            nonlocal intact
            residuals = reader.read_while_intact(bins)
            intact += reader.intact
            return residuals

        return self._read(read, grid, quality), intact

    def _reader(self, hyper: bytes, vectors: bytes) -> Reader:
        if hyper:
            raise FormatError("the file has hyper vectors, which its model does not")
        return Reader(self._models, vectors)

    def _read(self, read: Callable[[NDArray[np.uint8]], Integers], grid: tuple[int, int], quality: int) -> Integers:
        bins = self._bins[quality - 1]
        residuals = np.stack([read(bins) for _ in range(grid[0] * grid[1])])
        return self._values(residuals, quality).reshape(*grid, -1)

    def _values(self, residuals: Integers, quality: int) -> Integers:
        return np.clip(residuals * self._steps[quality - 1], -fixed.LIMIT, fixed.LIMIT).astype(np.int32)
