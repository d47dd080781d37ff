"""The exact form of the hyperprior: the same description as in training, run on integers, and the coding along it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy import fixed
from finola_codec.entropy.coder import MAX_RESIDUAL, Models, Reader, Writer
from finola_codec.entropy.coding import Integers, Payloads, interpolation
from finola_codec.entropy.fixed import FINOLA_LIMIT, LIMIT, ONE, Array
from finola_codec.entropy.prior import CONTEXT_KERNEL, PriorSpec, Step, mean_and_scale
from finola_codec.entropy.quantizer import cheaper, nearest
from finola_codec.entropy.scales import BINS, BINS_PER_OCTAVE, LOG2_MIN
from finola_codec.entropy.tables import Tables
from finola_codec.errors import ModelError

DIRECTIONS = ("right", "left", "down", "up")
BATCH_SITES = 2**13  # positions that are coded together; part of the format, it bounds the memory of both sides
SITES_AT_ONCE = 4096  # positions that are computed with together; bounds memory, changes no result
_LOG2_MIN = float(np.rint(LOG2_MIN * ONE))

# Given the sites of a step and the means and scale bins of its numbers (sites, channels): their residuals.
Writing = Callable[[Integers, NDArray[np.uint8]], None]
Coding = Callable[[Step, NDArray[np.intp], Integers, NDArray[np.uint8]], Integers]


class HyperPrior:
    """Codes grids of C-vectors under a trained prior, to the same integers on every machine.

    ``arrays`` are the integers that :mod:`finola_codec.nn.export` wrote: the weights that
    :meth:`PriorSpec.shapes` names with their biases, FINOLA's matrices ``finola_right`` to ``finola_up``, the
    shifts ``NAME_shift`` (anchors, width), and by quality (100 rows) ``step`` and ``log2_step`` of the
    C-vectors and ``hyper_step`` and ``hyper_bin`` of the hyper vectors.
    """

    error_weight = 2.5  # more than 1, because the context loses what a zero no longer tells; 2 to 3 did best

    def __init__(self, spec: PriorSpec, arrays: Mapping[str, NDArray[np.integer]], tables: Tables) -> None:
        self.spec = spec
        self._tables = tables
        self._models = Models(tables)
        self._arrays = {name: np.asarray(a, dtype=np.float64) for name, a in arrays.items()}
        self._finola = {d: self._arrays[f"finola_{d}"] for d in DIRECTIONS}

    def bounds(self) -> dict[str, float]:
        """The largest possible partial sum of each layer. Raises :class:`ModelError` where one is not exact."""
        fixed.check_finola(self.spec.hyper_channels)
        found = {}
        for name in self.spec.shapes():
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

    def batches(self, grid: tuple[int, int]) -> int:
        """How many parts the coded vectors of a grid have: one a step, or more of a large one."""
        counts = [-(-len(sites) // BATCH_SITES) for sites in _phases(*grid)]
        return sum(counts[step.phase] for step in self.spec.steps())

    def encode(
        self, y: NDArray[np.float32], z: NDArray[np.float32] | None, quality: int, price: float | None = None
    ) -> Payloads:
        """Quantize and code C-vectors ``y`` (h, w, C) and hyper vectors ``z`` (ceil(h/p), ceil(w/p), C_hyper).

        With a ``price``, the bits that a squared error of one natural unit is worth, each residual is the better
        of the nearest integer and the next one towards zero (rate-distortion optimised quantization). The memory of
        ``y`` becomes that of the decoded integers: large pictures would not fit twice.
        """
        assert z is not None
        hyper, vectors = Writer(self._models), Writer(self._models)
        decoded = self._quantize(y, z, quality, price, hyper.write, vectors.write)
        return Payloads(hyper.finish(), vectors.finish(), decoded)

    def count(
        self, y: NDArray[np.float32], z: NDArray[np.float32] | None, quality: int, price: float
    ) -> NDArray[np.int64]:
        """How often each residual occurs under each table where :meth:`encode` would code it.

        The result is (BINS, 2 * largest reach + 1), the residual zero in the middle; larger ones are not counted.
        """
        assert z is not None
        counts = self._tables.no_counts()

        def write(residuals: Integers, bins: NDArray[np.uint8]) -> None:
            self._tables.add_counts(counts, residuals, bins)

        self._quantize(y, z, quality, price, write, write)
        return counts

    def _quantize(
        self,
        y: NDArray[np.float32],
        z: NDArray[np.float32],
        quality: int,
        price: float | None,
        write_hyper: Writing,
        write: Writing,
    ) -> Integers:
        z_step, z_bins = self._hyper(quality, z.shape[:2])
        z_int = nearest(z.reshape(-1, z.shape[2]) * ONE / z_step)
        write_hyper(z_int.ravel(), z_bins)
        features = self._grow(z_int * z_step, z.shape[:2], y.shape[:2])
        wanted = np.ascontiguousarray(y)
        flat = wanted.reshape(-1, y.shape[2])
        steps = self._arrays["step"][quality - 1]

        def code(step: Step, sites: NDArray[np.intp], mean: Integers, bins: NDArray[np.uint8]) -> Integers:
            size = steps[step.start : step.stop]
            residual = np.empty(mean.shape, np.int32)
            for part in _slices(len(sites)):
                target = (flat[sites[part], step.start : step.stop] * ONE - mean[part]) / size
                if price is None:
                    residual[part] = nearest(target)
                else:
                    residual[part] = cheaper(target, bins[part], price * (size / ONE) ** 2, self._tables)
            write(residual.ravel(), bins.ravel())
            return residual

        return self._traverse(features, wanted.view(np.int32), quality, code)

    def decode(self, hyper: bytes, vectors: bytes, grid: tuple[int, int], quality: int) -> Integers:
        """The C-vectors (h, w, C) as integers with ACTIVATION_BITS fractional bits.

        Raises :class:`FormatError` where a payload is damaged beyond what its checksum told.
        """
        features = self._read_hyper(hyper, grid, quality)
        reader = Reader(self._models, vectors)

        def read(step: Step, sites: NDArray[np.intp], mean: Integers, bins: NDArray[np.uint8]) -> Integers:
            return reader.read(bins.ravel()).reshape(bins.shape)

        decoded = self._traverse(features, self._nothing(grid), quality, read)
        reader.finish()
        return decoded

    def salvage(self, hyper: bytes, vectors: bytes, grid: tuple[int, int], quality: int) -> tuple[Integers, int]:
        """What the beginning of ``vectors`` gives, and how many of the coding steps it holds.

        Where it ends, the prior's means take the place of what is missing; with nothing of it at all, that is a
        preview from the hyper vectors alone.
        """
        features = self._read_hyper(hyper, grid, quality)
        reader = Reader(self._models, vectors[: len(vectors) // 4 * 4])
        intact = 0

        def read(step: Step, sites: NDArray[np.intp], mean: Integers, bins: NDArray[np.uint8]) -> Integers:
            nonlocal intact
            residual = reader.read_while_intact(bins.ravel()).reshape(bins.shape)
            intact += reader.intact
            return residual

        return self._traverse(features, self._nothing(grid), quality, read), intact

    def _nothing(self, grid: tuple[int, int]) -> Integers:
        return np.zeros((*grid, self.spec.channels), np.int32)

    def _read_hyper(self, payload: bytes, grid: tuple[int, int], quality: int) -> Integers:
        patch = self.spec.hyper_patch
        coarse = (-(-grid[0] // patch), -(-grid[1] // patch))
        z_step, z_bins = self._hyper(quality, coarse)
        reader = Reader(self._models, payload)
        z_int = reader.read(z_bins).reshape(-1, self.spec.hyper_channels)
        reader.finish()
        return self._grow(z_int * z_step, coarse, grid)

    def _hyper(self, quality: int, coarse: tuple[int, ...]) -> tuple[Array, NDArray[np.uint8]]:
        step, bins = self._arrays["hyper_step"][quality - 1], self._arrays["hyper_bin"][quality - 1]
        return step, np.tile(bins.astype(np.uint8), coarse[0] * coarse[1])

    def _grow(self, z: Array, coarse: tuple[int, ...], grid: tuple[int, ...]) -> Integers:
        """Hyper vectors (coarse positions, C_hyper) to features (h * w, C_hyper)."""
        patch, channels = self.spec.hyper_patch, self.spec.hyper_channels
        seeds = np.clip(z, -FINOLA_LIMIT, FINOLA_LIMIT).reshape(*coarse, channels)
        features = np.empty((*grid, channels), np.int32)
        rows = max(1, SITES_AT_ONCE // (coarse[1] * patch**2))
        for top in range(0, coarse[0], rows):
            part = seeds[top : top + rows]
            grown = fixed.grow(part.reshape(-1, channels), self._finola, patch)
            grown = grown.reshape(*part.shape[:2], patch, patch, channels).swapaxes(1, 2)
            grown = grown.reshape(len(part) * patch, coarse[1] * patch, channels)
            below = min(grid[0], (top + rows) * patch)
            features[top * patch : below] = grown[: below - top * patch, : grid[1]]
        return features.reshape(-1, channels)

    def _traverse(self, features: Integers, known: Integers, quality: int, code: Coding) -> Integers:
        """Walk the coding steps; ``code`` turns means and bins into residuals by writing or by reading them.

        What is decoded is written into ``known`` (h, w, C), and may have been anything where a step does not read.
        """
        phases = _phases(*known.shape[:2])
        steps = self._arrays["step"][quality - 1]
        flat = known.reshape(-1, known.shape[2])
        for step in self.spec.steps():
            for batch in _slices(len(phases[step.phase]), BATCH_SITES):
                sites = phases[step.phase][batch]
                mean, bins = self._predict(step, features, known, sites, quality)
                residual = code(step, sites, mean, bins)
                for part in _slices(len(sites)):
                    value = mean[part] + residual[part] * steps[step.start : step.stop]
                    flat[sites[part], step.start : step.stop] = np.clip(value, -LIMIT, LIMIT)
        return known

    def _predict(
        self, step: Step, features: Integers, known: Integers, sites: NDArray[np.intp], quality: int
    ) -> tuple[Integers, NDArray[np.uint8]]:
        """Means (sites, channels of the step) and scale bins of what the step codes."""
        means = np.empty((len(sites), step.stop - step.start), np.int32)
        bins = np.empty(means.shape, np.uint8)
        log2_step = self._arrays["log2_step"][quality - 1, step.start : step.stop]
        for part in _slices(len(sites)):
            ops = _IntegerArithmetic(self._arrays, sites[part], quality, self.spec)
            means[part], log2_scale = mean_and_scale(ops, step, features, known)
            index = np.rint((log2_scale - log2_step - _LOG2_MIN) * (BINS_PER_OCTAVE / ONE))
            bins[part] = np.clip(index, 0, BINS - 1)
        return means, bins


class _IntegerArithmetic:
    """Rows (sites, channels) of integers, for some of the positions of a phase."""

    def __init__(self, arrays: Mapping[str, Array], sites: NDArray[np.intp], quality: int, spec: PriorSpec) -> None:
        self.arrays, self.sites = arrays, sites
        self.interpolation = interpolation(quality, spec.anchors)

    def select(self, features: NDArray[np.integer], step: Step) -> Array:
        return features[self.sites].astype(np.float64)

    def linear(self, name: str, x: Array) -> Array:
        return fixed.linear(x, self.arrays[name], self.arrays[f"{name}_bias"])

    def context(self, name: str, known: NDArray[np.integer], step: Step) -> Array:
        weights = self.arrays[name]  # (out, in, 3, 3)
        height, width = known.shape[:2]
        rows, columns = self.sites // width, self.sites % width
        first, last = rows[0], rows[-1]
        # The rows that the sites see, with zeros around the picture.
        band = np.zeros((last - first + CONTEXT_KERNEL, width + 2, step.known))
        top, bottom = max(0, first - 1), min(height, last + 2)
        inner = band[top - first + 1 : bottom - first + 1, 1:-1]
        inner[:] = known[top:bottom, :, : step.known]
        if step.phase == 1:  # of its own group a position of phase 1 reads phase 0 only
            odd = np.add.outer(np.arange(top, bottom), np.arange(width)) % 2 == 1
            inner[odd, step.start :] = 0
        corner = (rows - first) * (width + 2) + columns
        offsets = np.add.outer(np.arange(CONTEXT_KERNEL) * (width + 2), np.arange(CONTEXT_KERNEL)).ravel()
        patches = band.reshape(-1, step.known)[corner[:, None] + offsets].reshape(len(self.sites), -1)
        matrix = weights.transpose(0, 2, 3, 1).reshape(len(weights), -1)
        return fixed.linear(patches, matrix, self.arrays[f"{name}_bias"])

    def shift(self, name: str, x: Array) -> Array:
        return x + fixed.rescale(self.interpolation @ self.arrays[name])

    def add(self, a: Array, b: Array) -> Array:
        return a + b

    def relu(self, x: Array) -> Array:
        return np.clip(x, 0, LIMIT)


def _phases(height: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Flat positions of the two phases of a checkerboard, each in raster order."""
    parity = np.add.outer(np.arange(height), np.arange(width)).ravel() % 2
    return np.flatnonzero(parity == 0), np.flatnonzero(parity == 1)


def _slices(length: int, size: int = SITES_AT_ONCE) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
