"""The transforms between pixels and vectors, in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.coding import QUALITIES, Integers, to_real
from finola_codec.errors import ModelError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

TILE = 2**19  # pixels that are transformed at once; bounds memory
MARGIN = 80  # pixels around them that are read too, rounded up to blocks: the networks see less far
GROWN_AT_ONCE = 4  # C-vectors of a tile codec that are grown together: their map is large

HYPER_TILE = 2**14  # C-vectors that the hyper encoder takes at once; it sees less than a hyper vector far

Floats = NDArray[np.float32]
Window = tuple[slice, slice]


class Paths(NamedTuple):
    """The ONNX files of one model."""

    encoder: Path
    hyper_encoder: Path | None
    growth: Path | None  # of a tile codec: what of the decoder takes each tile by itself
    decoder: Path


class Pixels:
    """Encoder, hyper encoder and decoder of one model; sessions are made when first used.

    ``block`` pixels a side are covered by a C-vector, ``hyper_patch`` C-vectors a side by a hyper vector, and
    ``stride`` pixels a side by a position of the map that a tile codec grows.
    """

    def __init__(self, paths: Paths, block: int, hyper_patch: int, stride: int, anchors: int, threads: int) -> None:
        self._paths = paths
        self._block, self._patch, self._stride = block, hyper_patch, stride
        self._anchors, self._threads = anchors, threads

    @cached_property
    def _encoder(self) -> InferenceSession:
        return _session(self._paths.encoder, self._threads)

    @cached_property
    def _hyper_encoder(self) -> InferenceSession:
        assert self._paths.hyper_encoder is not None
        return _session(self._paths.hyper_encoder, self._threads)

    @cached_property
    def _growth(self) -> InferenceSession:
        assert self._paths.growth is not None
        return _session(self._paths.growth, self._threads)

    @cached_property
    def _decoder(self) -> InferenceSession:
        return _session(self._paths.decoder, self._threads)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of C-vectors that cover a picture."""
        return -(-height // self._block), -(-width // self._block)

    def analyse(self, pixels: NDArray[np.uint8], quality: int) -> Floats:
        """Pixels (H, W, 3) to C-vectors (h, w, C)."""
        weights, block = self._weights(quality), self._block
        height, width = self.grid(*pixels.shape[:2])
        y: Floats | None = None
        alone = {"size": block**2, "margin": 0} if self._paths.growth else {}  # a tile codec encodes each by itself
        for outer, inner, crop in tiles(height, width, block, **alone):
            x = _pad(pixels[scaled(outer[0], block), scaled(outer[1], block)], block, "symmetric")
            vectors = _run(self._encoder, x.astype(np.float32) / np.float32(255) - np.float32(0.5), weights)
            y = np.empty((height, width, vectors.shape[2]), np.float32) if y is None else y
            y[inner] = vectors[crop]
        assert y is not None
        return y

    def hyper(self, y: Floats, quality: int) -> Floats | None:
        """C-vectors (h, w, C) to hyper vectors (ceil(h/p), ceil(w/p), C_hyper), or None for a model without them."""
        if self._paths.hyper_encoder is None:
            return None
        weights, patch = self._weights(quality), self._patch
        z: Floats | None = None
        for outer, inner, crop in tiles(-(-y.shape[0] // patch), -(-y.shape[1] // patch), patch, HYPER_TILE, patch):
            part = _pad(y[scaled(outer[0], patch), scaled(outer[1], patch)], patch, "edge")
            vectors = _run(self._hyper_encoder, part, weights)
            shape = (-(-y.shape[0] // patch), -(-y.shape[1] // patch), vectors.shape[2])
            z = np.empty(shape, np.float32) if z is None else z
            z[inner] = vectors[crop]
        return z

    def synthesise(self, y: Integers, quality: int, height: int, width: int) -> NDArray[np.uint8]:
        """Decoded C-vectors (h, w, C), as the prior gives them, to pixels (height, width, 3)."""
        weights, grows = self._weights(quality), self._paths.growth is not None
        patch = self._block // self._stride if grows else 1  # positions a side that the decoder takes for a C-vector
        side = self._block // patch
        vectors: Callable[[Window], Floats] = (
            _Grown(self._growth, y, weights, patch) if grows else lambda window: to_real(y[window])
        )
        rows, columns = y.shape[0] * patch, y.shape[1] * patch
        pixels = np.empty((rows * side, columns * side, 3), np.uint8)
        for outer, inner, crop in tiles(rows, columns, side):
            x = _run(self._decoder, vectors(outer), weights)
            x = x[scaled(crop[0], side), scaled(crop[1], side)]
            levels = np.clip(np.rint((x + np.float32(0.5)) * np.float32(255)), 0, 255)
            pixels[scaled(inner[0], side), scaled(inner[1], side)] = levels
        return pixels[:height, :width]

    def _weights(self, quality: int) -> Floats:
        """Interpolation weights (1, anchors) of a quality of 1..100."""
        position = (quality - 1) / (QUALITIES - 1) * (self._anchors - 1)
        return np.maximum(0, 1 - np.abs(position - np.arange(self._anchors)))[None].astype(np.float32)


class _Grown:
    """The map that a tile codec grows from its C-vectors, made by rows of tiles as windows ask for them, downwards."""

    def __init__(self, growth: InferenceSession, y: Integers, weights: Floats, patch: int) -> None:
        self._growth, self._y, self._weights, self._patch = growth, y, weights, patch
        self._rows: dict[int, Floats] = {}

    def __call__(self, window: Window) -> Floats:
        rows, columns = window
        first, last = rows.start // self._patch, -(-rows.stop // self._patch)
        self._rows = {r: self._rows[r] if r in self._rows else self._grow(r) for r in range(first, last)}
        strip = np.concatenate([self._rows[r][:, columns] for r in range(first, last)])
        return strip[rows.start - first * self._patch :][: rows.stop - rows.start]

    def _grow(self, row: int) -> Floats:
        vectors = to_real(self._y[row : row + 1])
        parts = range(0, vectors.shape[1], GROWN_AT_ONCE)
        return np.concatenate([_run(self._growth, vectors[:, i : i + GROWN_AT_ONCE], self._weights) for i in parts], 1)


def _session(path: Path, threads: int) -> InferenceSession:
    import onnxruntime  # a tenth of a second to import; info and errors do without

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin between runs take the cores from NumPy's products, which come in between.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # An arena keeps the largest of what every tile needed; without it memory is a third, and time a tenth more.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise ModelError(f"{path}: {error}") from error


def _run(session: InferenceSession, x: Floats, weights: Floats) -> Floats:
    """Rows, columns, channels in and out; the sessions want channels first."""
    x = np.ascontiguousarray(x.transpose(2, 0, 1)[None])
    inputs = {"input": x, "weights": weights}
    return session.run(None, {i.name: inputs[i.name] for i in session.get_inputs()})[0][0].transpose(1, 2, 0)


def tiles(
    height: int, width: int, block: int, size: int | None = None, margin: int = MARGIN
) -> Iterator[tuple[Window, Window, Window]]:
    """Cover a grid of blocks: what a tile reads, what it gives, and where that lies in what it reads.

    Tiles have ``size`` pixels at most, TILE by default, and are up to twice as wide as high; they read ``margin``
    more on every side. All is in whole blocks, and a tile has one at least.
    """
    size, margin = (size or TILE) // block**2, -(-margin // block)
    columns = max(1, min(width, int((2 * size) ** 0.5)))
    rows = max(1, size // columns)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            outer, inner, crop = zip(_span(top, height, rows, margin), _span(left, width, columns, margin), strict=True)
            yield outer, inner, crop


def _span(start: int, size: int, side: int, margin: int) -> tuple[slice, slice, slice]:
    stop = min(start + side, size)
    first = max(0, start - margin)
    return slice(first, min(stop + margin, size)), slice(start, stop), slice(start - first, stop - first)


def scaled(blocks: slice, block: int) -> slice:
    return slice(blocks.start * block, blocks.stop * block)


def _pad(array: NDArray, multiple: int, mode: Literal["edge", "symmetric"]) -> NDArray:
    """Continue the last rows and columns, repeated or mirrored, until the sides are multiples."""
    rows, columns = -array.shape[0] % multiple, -array.shape[1] % multiple
    return np.pad(array, ((0, rows), (0, columns), (0, 0)), mode=mode)
