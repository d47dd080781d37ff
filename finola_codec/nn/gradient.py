"""The gradient of the decoder of blocks as ONNX graphs: what lets an encoder without torch see what its errors do.

A function whose name ends in ``_back`` multiplies a gradient by the transpose of a layer's Jacobian, as autograd
would; what autograd does cannot be exported. ``tests/nn/test_gradient.py`` holds the two together. Convolutions are
named by their parameters, as in ``decoder.head.weight``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import onnx
import onnx_ir as ir

from finola_codec.nn.finola import EPSILON
from finola_codec.nn.model import BlockCodec
from finola_codec.nn.recorder import Recorder, Value
from finola_codec.profiles import BlockProfile
from finola_codec.runtime.manifest import DECODER, DECODER_GRID, GRADIENT, GRADIENT_GRID
from finola_codec.runtime.transforms import NOT_WANTED

COLOURS = 3


def write_gradients(codec: BlockCodec, folder: Path) -> None:
    """Write the gradient's graphs beside the decoder's files, which must be there already and hold their weights.

    ``GRADIENT`` takes vectors, seeds and the wanted pixels (1, C + C_seed + 3 * 16 * 16, h, w), and gives
    (1, C + C_seed + 1, h, w): half the squared error of the pixels, differentiated by vectors and by seeds, and the
    squared error of each block. ``GRADIENT_GRID`` takes vectors and the gradient by the seeds (1, C + C_seed, h, w),
    and gives what is to be added to the gradient by the vectors (1, C, h, w). Both also take a mix.

    Pixels lie in [-0.5, 0.5]. A wanted one is at channel (16 row + column) * 3 + colour of its block; where it is
    NOT_WANTED, the error does not count.
    """
    profile = codec.profile
    c, c_seed, pixels = profile.channels, profile.seed_channels, COLOURS * profile.block**2
    weights = {name: value.float().numpy() for name, value in codec.state_dict().items()}
    for file, holder, function, parts, gives in (
        (GRADIENT, DECODER, _through_pixels, (c, c_seed, pixels), c + c_seed + 1),
        (GRADIENT_GRID, DECODER_GRID, _through_seeds, (c, c_seed), c),
    ):
        op = Recorder(weights, folder / holder, (folder / holder).read_bytes())
        x, mix = op.input("input", 1, sum(parts), "height", "width"), op.input("mix", 1, profile.anchors)
        y = function(op, profile, op("Reshape", mix, [1, -1, 1, 1]), *op.split(x, *parts))
        onnx.save(op.graph([x, mix], y, (1, gives, None, None)), folder / file)


def _through_pixels(
    op: Recorder, profile: BlockProfile, mix: Value, vectors: Value, seeds: Value, wanted: Value
) -> Value:
    grown = _Grown(op, seeds, profile.seed_channels, profile.patch)
    mapped = op("Relu", _conv(op, "decoder.from_map", grown.map))  # (1, C_map, 4 h, 4 w)
    features, seen = _stage(op, "decoder.stage", profile.decoder_depth, mapped, mix)
    detail = op.shuffle(_conv(op, "decoder.head", features, kernel=3), profile.stride)  # (1, 3, 16 h, 16 w)
    wanted = op("DepthToSpace", wanted, blocksize=profile.block)  # (1, 3, 16 h, 16 w)
    counts = op("Cast", op("Less", wanted, float(NOT_WANTED)), to=ir.DataType.FLOAT)
    error = op("Mul", op("Sub", op("Add", _lapped(op, vectors, profile.block), detail), wanted), counts)

    by_features = _shuffled_back(op, "decoder.head", error, profile.stride, padding=1)
    by_mapped = _relu_back(op, _stage_back(op, "decoder.stage", by_features, seen), mapped)
    by_seeds = grown.back(_conv_back(op, "decoder.from_map", by_mapped))
    sides = [profile.block] * 2
    mean = op("AveragePool", op("Mul", error, error), kernel_shape=sides, strides=sides)  # (1, 3, h, w)
    squared = op("Mul", op("ReduceSum", mean, [1]), float(profile.block**2))  # (1, 1, h, w)
    return op("Concat", _lapped_back(op, error, profile.block), by_seeds, squared, axis=1)


def _through_seeds(op: Recorder, profile: BlockProfile, mix: Value, vectors: Value, by_seeds: Value) -> Value:
    whitening = op("Reshape", op.weight("prior.whitening"), [1, -1, 1, 1])
    _, seen = _stage(op, "decoder.refine", profile.refine_depth, op("Mul", vectors, whitening), mix)
    by_whitened = _stage_back(op, "decoder.refine", _conv_back(op, "decoder.to_seed", by_seeds), seen)
    return op("Mul", by_whitened, whitening)


# Convolutions


class _Seen(NamedTuple):
    """What the two hidden layers of a bottleneck gave."""

    reduced: Value
    mixed: Value


def _conv(op: Recorder, layer: str, x: Value, kernel: int = 1) -> Value:
    return op("Conv", x, op.weight(f"{layer}.weight"), op.weight(f"{layer}.bias"), pads=[kernel // 2] * 4)


def _conv_back(op: Recorder, layer: str, gradient: Value, kernel: int = 1) -> Value:
    return op("Conv", gradient, op.turned(f"{layer}.weight"), pads=[kernel // 2] * 4)


def _shuffled_back(op: Recorder, layer: str, gradient: Value, side: int, padding: int) -> Value:
    """From the gradient by what a convolution gave, shuffled by ``side``, to that by what it was given."""
    deep = op("SpaceToDepth", gradient, blocksize=side)
    return op("Conv", deep, op.turned(f"{layer}.weight", side), pads=[padding] * 4)


def _relu_back(op: Recorder, gradient: Value, output: Value) -> Value:
    return op("Mul", gradient, op("Cast", op("Greater", output, 0.0), to=ir.DataType.FLOAT))


def _stage(op: Recorder, name: str, depth: int, x: Value, mix: Value) -> tuple[Value, list[_Seen]]:
    """Run a stage, and keep what going back needs."""
    x, seen = op("Add", x, op("Conv", mix, op.column(f"{name}.shift.rows"))), []
    for block in (f"{name}.blocks.{index}" for index in range(depth)):
        reduced = op("Relu", _conv(op, f"{block}.reduce", x))
        mixed = op("Relu", _conv(op, f"{block}.mix", reduced, kernel=3))
        x = op("Add", x, _conv(op, f"{block}.expand", mixed))
        seen.append(_Seen(reduced, mixed))
    return x, seen


def _stage_back(op: Recorder, name: str, gradient: Value, seen: Sequence[_Seen]) -> Value:
    for index, (reduced, mixed) in reversed(list(enumerate(seen))):
        block = f"{name}.blocks.{index}"
        inner = _relu_back(op, _conv_back(op, f"{block}.expand", gradient), mixed)
        inner = _relu_back(op, _conv_back(op, f"{block}.mix", inner, kernel=3), reduced)
        gradient = op("Add", gradient, _conv_back(op, f"{block}.reduce", inner))
    return gradient


def _lapped(op: Recorder, vectors: Value, block: int) -> Value:
    """Vectors (1, C, h, w) to pixels (1, 3, 16 h, 16 w), by the decoder's lapped transform."""
    padded = op("Pad", vectors, [0, 0, 1, 1] * 2, mode="edge")  # (1, C, h + 2, w + 2)
    windows = op.shuffle(_conv(op, "decoder.lapped", padded), block)  # (1, 3, 16 (h + 1), 16 (w + 1))
    return op.crop(op.crop(windows, 2, block // 2, -block // 2), 3, block // 2, -block // 2)


def _lapped_back(op: Recorder, gradient: Value, block: int) -> Value:
    windows = op("Pad", gradient, [0, 0, block // 2, block // 2] * 2)
    x = _shuffled_back(op, "decoder.lapped", windows, block, padding=1)  # (1, C, h + 2, w + 2)
    for axis in (2, 3):  # the borders had been repeated: what was outside counts for them
        rest = op("Sub", op("Shape", x, start=axis, end=axis + 1), [3])
        first = op("Pad", op.crop(x, axis, 0, 1), op("Concat", [0] * (4 + axis), rest, [0] * (3 - axis), axis=0))
        last = op("Pad", op.crop(x, axis, -1, None), op("Concat", [0] * axis, rest, [0] * (7 - axis), axis=0))
        x = op("Add", op.crop(x, axis, 1, -1), op("Add", first, last))
    return x


# FINOLA


class _Normalised(NamedTuple):
    """Normalised vectors (N, C), and the inverse of the standard deviation that they had (N, 1)."""

    value: Value
    inverse: Value


def _normalised(op: Recorder, z: Value) -> _Normalised:
    centred = op("Sub", z, op("ReduceMean", z, [-1]))
    variance = op("ReduceMean", op("Mul", centred, centred), [-1])
    inverse = op("Reciprocal", op("Sqrt", op("Add", variance, EPSILON)))
    return _Normalised(op("Mul", centred, inverse), inverse)


def _normalised_back(op: Recorder, gradient: Value, normalised: _Normalised) -> Value:
    """Take the mean from a gradient, and what lies along the normalised vectors; divide by the deviation."""
    along = op("Mul", normalised.value, op("ReduceMean", op("Mul", gradient, normalised.value), [-1]))
    rest = op("Sub", op("Sub", gradient, op("ReduceMean", gradient, [-1])), along)
    return op("Mul", rest, normalised.inverse)


class _Way(NamedTuple):
    """So many steps by one of FINOLA's matrices."""

    steps: int
    matrix: str


class _Line:
    """What FINOLA grows from vectors (N, C) along one axis: ``cells`` before them, themselves, and cells after them."""

    def __init__(self, op: Recorder, z: Value, before: _Way, after: _Way) -> None:
        self._op, self._ways = op, (before, after)
        start = _normalised(op, z)
        grown = [self._grow(z, start, way) for way in self._ways]
        self._normalised = [normalised for _, normalised in grown]  # of the vectors that each step starts from
        self.cells = [*reversed(grown[0][0]), z, *grown[1][0]]

    def _grow(self, z: Value, normalised: _Normalised, way: _Way) -> tuple[list[Value], list[_Normalised]]:
        cells, seen = [z], [normalised]
        for count in range(way.steps):
            if count:
                seen.append(_normalised(self._op, cells[-1]))
            matrix = self._op.weight(f"decoder.finola.{way.matrix}")
            cells.append(self._op("Gemm", seen[-1].value, matrix, cells[-1], transB=1))  # z + A n(z), by rows
        return cells[1:], seen

    def back(self, by_cells: Sequence[Value]) -> Value:
        """From the gradients by the cells, each (N, C), to that by the vectors that they grew from."""
        op, seed = self._op, self._ways[0].steps
        total = by_cells[seed]
        for outwards, way, normalised in zip((-1, 1), self._ways, self._normalised, strict=True):
            if not way.steps:
                continue
            # OpenVINO (2026.4) confuses a matrix with its transpose where a graph has both: so this one is another.
            negative, carried = (
                op("Neg", op.weight(f"decoder.finola.{way.matrix}")),
                by_cells[seed + outwards * way.steps],
            )
            for count in reversed(range(way.steps)):
                carried = op("Sub", carried, _normalised_back(op, op("Gemm", carried, negative), normalised[count]))
                carried = op("Add", carried, by_cells[seed + outwards * count] if count else total)
            total = carried
        return total


class _Grown:
    """The ``map`` (1, C, patch h, patch w) that FINOLA grows from seeds (1, C, h, w), and the way back."""

    def __init__(self, op: Recorder, seeds: Value, channels: int, patch: int) -> None:
        self._op, self._channels, self._patch = op, channels, patch
        self._grid = op("Shape", seeds, start=2)
        before = (patch - 1) // 2
        rows = _Way(before, "left"), _Way(patch - 1 - before, "right")
        columns = _Way(before, "up"), _Way(patch - 1 - before, "down")
        z = op("Transpose", op("Reshape", seeds, [channels, -1]), perm=[1, 0])  # (h w, C)
        self._row, self._column = _Line(op, z, *rows), _Line(op, z, *columns)
        # A diagonal position is reached along the row first and along the column first. The second lines grow from
        # all cells of the first ones at once: (patch h w, C).
        self._from_row = _Line(op, op("Concat", *self._row.cells, axis=0), *columns)
        self._from_column = _Line(op, op("Concat", *self._column.cells, axis=0), *rows)
        by_row = op("Transpose", self._stacked(self._from_column.cells), perm=[1, 0, 2, 3])  # (row, column, h w, C)
        both = op("Mul", op("Add", self._stacked(self._from_row.cells), by_row), 0.5)
        tiled = self._on_grid(op("Transpose", both, perm=[0, 1, 3, 2]), patch**2)  # (1, patch patch C, h, w)
        self.map = op("DepthToSpace", tiled, blocksize=patch)

    def back(self, gradient: Value) -> Value:
        """From the gradient by the map to that by the seeds."""
        op, patch = self._op, self._patch
        tiled = op("Reshape", op("SpaceToDepth", gradient, blocksize=patch), [patch, patch, self._channels, -1])
        by_row = op("Mul", op("Transpose", tiled, perm=[0, 1, 3, 2]), 0.5)  # (row, column, h w, C)
        by_column = op("Transpose", by_row, perm=[1, 0, 2, 3])
        by_z = op(
            "Add",
            self._row.back(self._cells(self._from_row.back(self._cells(by_row)))),
            self._column.back(self._cells(self._from_column.back(self._cells(by_column)))),
        )
        return self._on_grid(op("Transpose", by_z, perm=[1, 0]), 1)

    def _stacked(self, cells: Sequence[Value]) -> Value:
        """The cells of a second line, each (patch h w, C), as (patch, patch, h w, C)."""
        return self._op("Reshape", self._op("Concat", *cells, axis=0), [self._patch, self._patch, -1, self._channels])

    def _cells(self, x: Value) -> list[Value]:
        """The gradients by the cells of a line, which are stacked along the first axis or within it, each (N, C)."""
        x = self._op("Reshape", x, [self._patch, -1, self._channels])
        return [self._op("Reshape", self._op.crop(x, 0, i, i + 1), [-1, self._channels]) for i in range(self._patch)]

    def _on_grid(self, x: Value, times: int) -> Value:
        """Bring what has h w positions along its last axis to (1, times C, h, w)."""
        return self._op("Reshape", x, self._op("Concat", [1, times * self._channels], self._grid, axis=0))
