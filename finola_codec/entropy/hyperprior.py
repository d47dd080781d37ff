"""The exact hyperprior: the description of training, run on integers, and the coding of vectors along it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy import fixed, repeats
from finola_codec.entropy.adjoint import Differentiable
from finola_codec.entropy.arithmetic import IntegerArithmetic
from finola_codec.entropy.coder import MAX_RESIDUAL, Models, Reader, Writer
from finola_codec.entropy.exact import Floats, Mask, Payloads, Price
from finola_codec.entropy.fixed import FINOLA_LIMIT, LIMIT, ONE, Array, Integers
from finola_codec.entropy.prior import CodingStep, PriorSpec, mean_and_scale
from finola_codec.entropy.quantizer import cheaper, nearest
from finola_codec.entropy.repeats import Cells
from finola_codec.entropy.scales import BINS, BINS_PER_OCTAVE, LOG2_MIN
from finola_codec.entropy.tables import Tables
from finola_codec.errors import ModelError

DIRECTIONS = ("right", "left", "down", "up")
PART_SITES = 2**13  # positions that are coded together; part of the format, it bounds the memory of both sides
SITES_AT_ONCE = 1024  # positions that are computed with together; bounds memory, changes no result
_LOG2_MIN = float(np.rint(LOG2_MIN * ONE))

Bins = NDArray[np.uint8]
Sites = NDArray[np.intp]
# What turns sites (N,), their means and bins (N, channels of the step) into residuals, by writing or by reading them.
Coding = Callable[[CodingStep, Sites, Integers, Bins], Integers]


class ExactHyperprior:
    """Codes grids of C-vectors under a trained hyperprior, to the same integers on every machine.

    ``arrays`` are the integers that :meth:`finola_codec.nn.hyperprior.TrainableHyperprior.to_integers` gives: the
    weights of :meth:`PriorSpec.layers` with their biases, the shifts, FINOLA's matrices ``finola_right`` to
    ``finola_up``, and by quality (100 rows) ``step`` and ``log2_step`` of the C-vectors and ``hyper_step`` and
    ``hyper_bin`` of the hyper vectors.

    A *cell* is what one hyper vector covers. A cell may *repeat*: its hyper vector is that of the cell at its left, or
    above it in the first column, and all its residuals are zero. Nothing is then coded for it but that it repeats,
    which makes flat pictures nearly free.
    """

    # An error counts more than its square, because the context loses what a zero no longer tells; 2 to 3 did best.
    error_weight = 2.5

    def __init__(self, spec: PriorSpec, arrays: Mapping[str, NDArray[np.integer]], tables: Tables) -> None:
        self.spec = spec
        self._tables = tables
        self._models = Models(tables)
        self._arrays = {name: _floats(a) for name, a in arrays.items()}
        self._finola = {d: self._arrays[f"finola_{d}"] for d in DIRECTIONS}

    def bounds(self) -> dict[str, float]:
        """Return the largest possible partial sum of each layer. Raises :class:`ModelError` where one is not exact."""
        fixed.check_finola(self.spec.hyper_channels)
        found = {}
        for name in self.spec.layers():
            weights = self._arrays[name].reshape(len(self._arrays[name]), -1)
            found[name] = fixed.bound(weights, self._arrays[f"{name}_bias"])
        root = np.sqrt(self.spec.hyper_channels) * ONE  # no normalised value is larger
        for direction, matrix in self._finola.items():
            found[f"finola_{direction}"] = fixed.bound(matrix, np.zeros(len(matrix)), root)
        found["values"] = float(MAX_RESIDUAL * self._arrays["step"].max() + LIMIT)
        for name, largest in found.items():
            if largest >= fixed.EXACT:
                raise ModelError(f"{name}: a sum may reach {largest:.3g}, beyond 2^53, where it is no longer exact")
        return found

    def parts(self, grid: tuple[int, int]) -> int:
        """Return how many parts the coded vectors of a grid have: one a coding step, or more of a large grid."""
        counts = [-(-len(sites) // PART_SITES) for sites in _phases(*grid)]
        return sum(counts[step.phase] for step in self.spec.coding_steps())

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
        """Quantize and code C-vectors ``y`` (h, w, C) and hyper vectors ``z`` (ceil(h/p), ceil(w/p), C_hyper).

        With a ``price``, the bits that a squared error of one natural unit is worth, everywhere or at each position
        (h, w), each residual is the better of the nearest integer and the next one towards zero (rate-distortion
        optimised quantization). Where ``free`` (h, w) is true, residuals are zero, and cells that are free everywhere
        repeat. The decoded integers are written into ``out`` (h, w, C) if it is given; it may share its memory with
        ``y``. What the C-vector of each position takes is added to ``bits`` (h, w) if that is given.
        """
        assert z is not None
        grid = (y.shape[0], y.shape[1])
        cells = Cells(self.spec.hyper_patch, grid)
        must_repeat = np.zeros(len(cells.before), bool) if free is None else ~cells.anywhere(~free)
        z_int = self._quantize_hyper(z, quality)
        cells.fill(z_int, must_repeat)
        features = self._grow(z_int * self._hyper_step(quality), grid)
        out = np.empty(y.shape, np.int32) if out is None else out
        writer, busy = Writer(self._models), np.zeros(grid[0] * grid[1], bool)

        def write(step: CodingStep, sites: Sites, mean: Integers, bins: Bins) -> Integers:
            residual = self._residuals(y, step, sites, mean, bins, quality, price)
            if free is not None:
                residual[free.ravel()[sites]] = 0
            writer.write(residual.ravel(), bins.ravel())
            busy[sites] |= residual.any(1)
            if bits is not None:
                bits.reshape(-1)[sites] += self._tables.bits(residual, bins).sum(1)
            return residual

        self._traverse(features, out, quality, cells.positions(must_repeat), write)
        may_repeat = cells.equal(z_int) & ~cells.anywhere(busy.reshape(grid))
        if self._pays(z_int, quality, must_repeat, may_repeat) and np.abs(out).max() < LIMIT:
            vectors = self._write_again(features, out, quality, cells.positions(may_repeat))
            return Payloads(self._write_hyper(z_int, quality, may_repeat), vectors, out)
        return Payloads(self._write_hyper(z_int, quality, must_repeat), writer.finish(), out)

    def count(self, y: Floats, z: Floats | None, quality: int, price: float) -> NDArray[np.int64]:
        """Return how often each residual occurs under each table where :meth:`encode` would code it.

        The result is (BINS, 2 * largest reach + 1), the residual zero in the middle. Larger ones are not counted.
        """
        assert z is not None
        grid = (y.shape[0], y.shape[1])
        z_int = self._quantize_hyper(z, quality)
        features = self._grow(z_int * self._hyper_step(quality), grid)
        counts = self._tables.no_counts()
        self._tables.add_counts(counts, z_int.ravel(), self._hyper_bins(quality, len(z_int)))

        def note(step: CodingStep, sites: Sites, mean: Integers, bins: Bins) -> Integers:
            residual = self._residuals(y, step, sites, mean, bins, quality, price)
            self._tables.add_counts(counts, residual.ravel(), bins.ravel())
            return residual

        self._traverse(features, np.empty(y.shape, np.int32), quality, np.zeros(grid[0] * grid[1], bool), note)
        return counts

    def add_context(self, gradient: Floats, y: Integers, z: Floats, quality: int, bit: float, damping: float) -> None:
        """Add to a gradient (h, w, C) by decoded C-vectors ``y`` what comes by way of those that have them as context.

        If all residuals stay as they are, a decoded value moves the means of later ones, which are then decoded to
        something else, and their scales, so that they take other bits. ``bit`` is what a bit counts in the function
        whose gradient is given. With a ``damping`` below one, the further away, the less it counts.
        """
        grid, values, by_value = y.shape[:2], y.reshape(-1, y.shape[2]), gradient.reshape(-1, y.shape[2])
        features = self._grow(self._quantize_hyper(z, quality) * self._hyper_step(quality), grid)
        phases = _phases(*grid)
        for step in reversed([step for step in self.spec.coding_steps() if step.known]):
            size = self._arrays["step"][quality - 1, step.start : step.stop]
            for part in _slices(len(phases[step.phase]), SITES_AT_ONCE):
                sites = phases[step.phase][part]
                ops = Differentiable(self._arrays, sites, quality, self.spec, gradient, damping)
                mean, scale = mean_and_scale(ops, step, features, y)
                residual = np.rint((values[sites, step.start : step.stop] - mean.values * ONE) / size).astype(np.int32)
                mean.gradient += by_value[sites, step.start : step.stop]
                bins = self._bins(np.multiply(scale.values, ONE, dtype=np.float64), step, quality)
                scale.gradient += bit * self._bits_by_scale(residual, bins.astype(np.uint8))
                ops.back()

    def _bits_by_scale(self, residual: Integers, bins: Bins) -> Floats:
        """The derivative of what residuals cost by log2 of their scale, from the tables of the bins around theirs."""
        below, above = np.maximum(bins, 1) - np.uint8(1), np.minimum(bins, BINS - 2) + np.uint8(1)
        rise = self._tables.bits(residual, above) - self._tables.bits(residual, below)
        return rise * BINS_PER_OCTAVE / (above - below)

    def decode(self, hyper: bytes, vectors: bytes, grid: tuple[int, int], quality: int) -> Integers:
        """Return the C-vectors (h, w, C) as integers with ACTIVATION_BITS fractional bits.

        Raises :class:`FormatError` where a payload is damaged beyond what its checksum told.
        """
        features, repeated = self._read_hyper(hyper, grid, quality)
        reader = Reader(self._models, vectors)

        def read(step: CodingStep, sites: Sites, mean: Integers, bins: Bins) -> Integers:
            return reader.read(bins.ravel()).reshape(bins.shape)

        decoded = self._traverse(features, self._nothing(grid), quality, repeated, read)
        reader.finish()
        return decoded

    def salvage(self, hyper: bytes, vectors: bytes, grid: tuple[int, int], quality: int) -> tuple[Integers, int]:
        """Return what the beginning of ``vectors`` gives, and how many of the :meth:`parts` it holds.

        The prior's means take the place of what is missing. With nothing of the vectors at all, that is a preview
        from the hyper vectors alone.
        """
        features, repeated = self._read_hyper(hyper, grid, quality)
        reader = Reader(self._models, vectors[: len(vectors) // 4 * 4])
        intact = 0

        def read(step: CodingStep, sites: Sites, mean: Integers, bins: Bins) -> Integers:
            nonlocal intact
            residual = reader.read_while_intact(bins.ravel()).reshape(bins.shape)
            intact += reader.intact
            return residual

        return self._traverse(features, self._nothing(grid), quality, repeated, read), intact

    def _nothing(self, grid: tuple[int, int]) -> Integers:
        return np.zeros((*grid, self.spec.channels), np.int32)

    # The hyper vectors

    def _hyper_step(self, quality: int) -> Array:
        return self._arrays["hyper_step"][quality - 1]

    def _hyper_bins(self, quality: int, cells: int) -> Bins:
        return np.tile(self._arrays["hyper_bin"][quality - 1].astype(np.uint8), cells)

    def _quantize_hyper(self, z: Floats, quality: int) -> Integers:
        """Hyper vectors (cells, C_hyper) in quantizer steps."""
        return nearest(z.reshape(-1, z.shape[2]) * ONE / self._hyper_step(quality))

    def _write_hyper(self, z_int: Integers, quality: int, repeated: Mask) -> bytes:
        writer, told = Writer(self._models), z_int[~repeated]
        repeats.write(writer, repeated)
        writer.write(told.ravel(), self._hyper_bins(quality, len(told)))
        return writer.finish()

    def _read_hyper(self, payload: bytes, grid: tuple[int, int], quality: int) -> tuple[Integers, Mask]:
        """Return the features (h * w, C_hyper), and the positions (h * w,) whose cells repeat."""
        cells = Cells(self.spec.hyper_patch, grid)
        reader = Reader(self._models, payload)
        repeated = repeats.read(reader, len(cells.before))
        bins = self._hyper_bins(quality, int((~repeated).sum()))
        z_int = np.zeros((len(repeated), self.spec.hyper_channels), np.int32)
        z_int[~repeated] = reader.read(bins).reshape(-1, self.spec.hyper_channels)
        reader.finish()
        cells.fill(z_int, repeated)
        return self._grow(z_int * self._hyper_step(quality), grid), cells.positions(repeated)

    def _pays(self, z_int: Integers, quality: int, must_repeat: Mask, may_repeat: Mask) -> bool:
        """Return whether coding all over again with more cells repeated saves bits."""
        more = z_int[may_repeat & ~must_repeat]
        saved = self._tables.bits(more.ravel(), self._hyper_bins(quality, len(more))).sum(dtype=np.float64)
        return saved > repeats.cost(may_repeat) - repeats.cost(must_repeat)

    def _grow(self, z: Array, grid: tuple[int, int]) -> Integers:
        """Hyper vectors (cells, C_hyper) to features (h * w, C_hyper)."""
        patch, channels = self.spec.hyper_patch, self.spec.hyper_channels
        coarse = (-(-grid[0] // patch), -(-grid[1] // patch))
        seeds = np.clip(z, -FINOLA_LIMIT, FINOLA_LIMIT).reshape(*coarse, channels)
        features = np.empty((*grid, channels), np.int32)
        rows = max(1, SITES_AT_ONCE // (coarse[1] * patch**2))
        for top in range(0, coarse[0], rows):
            part = seeds[top : top + rows]
            grown = fixed.grow(part.reshape(-1, channels), self._finola, patch)  # (cells, patch, patch, C_hyper)
            grown = grown.reshape(*part.shape[:2], patch, patch, channels).swapaxes(1, 2)
            grown = grown.reshape(len(part) * patch, coarse[1] * patch, channels)
            below = min(grid[0], (top + rows) * patch)
            features[top * patch : below] = grown[: below - top * patch, : grid[1]]
        return features.reshape(-1, channels)

    # The C-vectors

    def _residuals(
        self, y: Floats, step: CodingStep, sites: Sites, mean: Integers, bins: Bins, quality: int, price: Price | None
    ) -> Integers:
        """Return what is coded in the place of ``y`` at ``sites``: (sites, channels of the coding step)."""
        size = self._arrays["step"][quality - 1, step.start : step.stop]
        flat = y.reshape(-1, y.shape[2])
        residual = np.empty(mean.shape, np.int32)
        for part in _slices(len(sites), SITES_AT_ONCE):
            target = flat[sites[part], step.start : step.stop] * ONE - mean[part]
            target /= size
            if price is None:
                residual[part] = nearest(target)
            else:
                worth = np.broadcast_to(price, y.shape[:2])[np.divmod(sites[part], y.shape[1])]  # (sites,)
                residual[part] = cheaper(target, bins[part], worth[:, None] * (size / ONE) ** 2, self._tables)
        return residual

    def _write_again(self, features: Integers, decoded: Integers, quality: int, repeated: Mask) -> bytes:
        """Code what decodes to ``decoded`` (h, w, C), leaving out the positions (h * w,) that are ``repeated``."""
        writer, flat = Writer(self._models), decoded.reshape(-1, decoded.shape[2])

        def write(step: CodingStep, sites: Sites, mean: Integers, bins: Bins) -> Integers:
            size = self._arrays["step"][quality - 1, step.start : step.stop]
            residual = np.rint((flat[sites, step.start : step.stop] - mean) / size).astype(np.int32)
            writer.write(residual.ravel(), bins.ravel())
            return residual

        self._traverse(features, decoded, quality, repeated, write)
        return writer.finish()

    def _traverse(self, features: Integers, known: Integers, quality: int, repeated: Mask, code: Coding) -> Integers:
        """Walk the coding steps; ``code`` turns means and bins into residuals by writing or by reading them.

        What is decoded is written into ``known`` (h, w, C), which may have held anything where a coding step does not
        read. Residuals of positions (h * w,) that are ``repeated`` are zero and are not coded.
        """
        phases = _phases(*known.shape[:2])
        flat = known.reshape(-1, known.shape[2])
        for step in self.spec.coding_steps():
            size = self._arrays["step"][quality - 1, step.start : step.stop]
            for part in _slices(len(phases[step.phase]), PART_SITES):
                sites = phases[step.phase][part]
                mean, bins = self._predict(step, features, known, sites, quality)
                if repeated[sites].any():
                    coded = np.flatnonzero(~repeated[sites])
                    residual = np.zeros(mean.shape, np.int32)
                    residual[coded] = code(step, sites[coded], mean[coded], bins[coded])
                else:
                    residual = code(step, sites, mean, bins)
                coded = np.flatnonzero(residual != 0)  # few, and all others take the mean as their value
                value = residual.reshape(-1)[coded] * size[coded % len(size)] + mean.reshape(-1)[coded]
                mean.reshape(-1)[coded] = np.clip(value, -LIMIT, LIMIT, out=value)
                flat[sites, step.start : step.stop] = mean
        return known

    def _predict(
        self, step: CodingStep, features: Integers, known: Integers, sites: Sites, quality: int
    ) -> tuple[Integers, Bins]:
        """Means (sites, channels of the coding step) and scale bins of what the coding step codes."""
        means = np.empty((len(sites), step.stop - step.start), np.int32)
        bins = np.empty(means.shape, np.uint8)
        for part in _slices(len(sites), SITES_AT_ONCE):
            ops = IntegerArithmetic(self._arrays, sites[part], quality, self.spec)
            means[part], scales = mean_and_scale(ops, step, features, known)
            bins[part] = self._bins(scales, step, quality)
        return means, bins

    def _bins(self, log2_scales: Array, step: CodingStep, quality: int) -> Array:
        """Bins (sites, channels of the coding step) of log2 of scales in natural units, which are overwritten."""
        log2_scales -= self._arrays["log2_step"][quality - 1, step.start : step.stop] + _LOG2_MIN
        log2_scales *= BINS_PER_OCTAVE / ONE
        np.rint(log2_scales, out=log2_scales)
        return np.clip(log2_scales, 0, BINS - 1, out=log2_scales)


def _floats(array: NDArray[np.integer]) -> Array:
    """Return float64, and of a context's weights (out, in, kernel, kernel) those of each neighbour together."""
    if array.ndim == 4:
        return np.ascontiguousarray(array.transpose(2, 3, 1, 0), np.float64).transpose(3, 2, 0, 1)
    return np.asarray(array, np.float64)


def _phases(height: int, width: int) -> tuple[Sites, Sites]:
    """Flat positions of the two phases of a checkerboard, each in raster order."""
    parity = np.add.outer(np.arange(height), np.arange(width)).ravel() % 2
    return np.flatnonzero(parity == 0), np.flatnonzero(parity == 1)


def _slices(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
