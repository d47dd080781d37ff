"""The transforms between pixels and vectors, by windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.fixed import Integers, to_real
from finola_codec.profiles import BlockProfile, Profile
from finola_codec.quality import mix
from finola_codec.runtime.devices import Floats, Graph
from finola_codec.runtime.manifest import (
    DECODER,
    DECODER_GRID,
    DECODING,
    DEFAULT_TUNE,
    ENCODER,
    ENCODER_GRID,
    GRADIENT,
    GRADIENT_GRID,
    GROWTH,
    HYPER_ENCODER,
    TUNED,
)
from finola_codec.runtime.windows import Window, scaled, windows

WINDOW = 5 * 2**17  # the pixels that a window reads; this bounds memory
GRID_WINDOW = 2**12  # the C-vectors that a window reads of their grid
GRADIENT_WINDOW = 2**19  # a gradient needs more memory a pixel, since it keeps what layers gave
NOT_WANTED = 2  # stands for a pixel in [-0.5, 0.5] whose error does not count, as beyond the picture
HIGHEST_WANTED = (NOT_WANTED + 0.5) * 255 - 1  # the highest level that a decoded picture can be wanted to have
GROWN_AT_ONCE = 4  # a tile codec grows this many C-vectors together, because their map is large


# Opens one of a model's ONNX files by its name; the second argument is that of devices.open_graph.
Opener = Callable[[str, bool], Graph]


def transforms_of(profile: Profile, open_graph: Opener) -> Transforms:
    """Return the transforms of a model."""
    hyper_patch = profile.hyper_patch if isinstance(profile, BlockProfile) else None
    return Transforms(profile, hyper_patch, open_graph)


class Transforms:
    """The transforms of one model; graphs are opened when first used.

    Pictures are transformed by windows, which read a margin around them that is as wide as the networks see far. So
    what comes out does not depend on how a picture is divided, and memory does not grow with the picture. A codec of
    blocks sees far only on the grid of its C-vectors; that part has graphs and windows of its own.
    """

    def __init__(self, profile: Profile, hyper_patch: int | None, open_graph: Opener) -> None:
        self._profile, self._block, self._open = profile, profile.block, open_graph
        # A codec of blocks has a hyper encoder, one of tiles has a part of the decoder that takes each tile by itself.
        self._hyper_patch, self._is_tiled = hyper_patch, hyper_patch is None
        self._graphs: dict[str, Graph] = {}

    def _graph(self, file: str) -> Graph:
        """Return one of the model's files, which is opened when it is first used."""
        if file not in self._graphs:
            self._graphs[file] = self._open(file, file in DECODING)
        return self._graphs[file]

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of C-vectors that cover a picture."""
        return -(-height // self._block), -(-width // self._block)

    def analyse(self, pixels: NDArray[np.uint8], quality: int, tune: str = DEFAULT_TUNE) -> Floats:
        """Transform pixels (H, W, 3) into C-vectors (h, w, C), by the encoder that is tuned for the metric ``tune``."""
        anchors, (height, width) = mix(quality, self._profile.anchors), self.grid(*pixels.shape[:2])
        strips = self._encoded(pixels, height, width, anchors, tune)
        if not self._is_tiled:
            strips = self._detailed(_Strips(strips), height, width, anchors, tune)
        y = np.empty((height, width, self._profile.channels), np.float32)
        top = 0
        for strip in strips:
            y[top : top + len(strip)] = strip
            top += len(strip)
        return y

    def _encoded(
        self, pixels: NDArray[np.uint8], height: int, width: int, anchors: Floats, tune: str
    ) -> Iterator[Floats]:
        """Strips of the encoder's map: C-vectors of tiles; or of blocks, and features (rows, w, C + features)."""
        encoder = self._graph(ENCODER)
        trunk = None if tune == DEFAULT_TUNE else self._graph(TUNED[tune].trunk)

        def encode(window: Window) -> Floats:
            part = pixels[scaled(window[0], self._block), scaled(window[1], self._block)]
            x = _pad(part, self._block, "symmetric")
            x = x.astype(np.float32) / np.float32(255) - np.float32(0.5)
            both = encoder(x, anchors)
            if trunk is None:
                return both
            return np.concatenate([both[..., : self._profile.channels], trunk(x, anchors)], axis=2)

        size = self._block**2 if self._is_tiled else WINDOW  # a tile codec encodes each tile by itself
        return _strips(windows(height, width, self._block, size, self._profile.encoder_margin), encode)

    def _detailed(self, encoded: _Strips, height: int, width: int, anchors: Floats, tune: str) -> Iterator[Floats]:
        """Strips of C-vectors (rows, w, C): the shortcut's, and what the last stage makes of the features."""
        channels = self._profile.channels
        encoder_grid = self._graph(ENCODER_GRID if tune == DEFAULT_TUNE else TUNED[tune].grid)

        def add(window: Window) -> Floats:
            both = encoded.window(window)
            return both[..., :channels] + encoder_grid(both[..., channels:], anchors)

        return _strips(windows(height, width, 1, GRID_WINDOW, self._profile.encoder_grid_margin), add)

    def hyper(self, y: Floats, quality: int) -> Floats | None:
        """Transform C-vectors (h, w, C) into hyper vectors (ceil(h/p), ceil(w/p), C_hyper), or None."""
        if self._hyper_patch is None:
            return None
        anchors, patch = mix(quality, self._profile.anchors), self._hyper_patch
        shape = -(-y.shape[0] // patch), -(-y.shape[1] // patch)
        z: Floats | None = None
        for outer, inner, crop in windows(*shape, patch, GRID_WINDOW, patch):
            part = _pad(y[scaled(outer[0], patch), scaled(outer[1], patch)], patch, "edge")
            vectors = self._graph(HYPER_ENCODER)(part, anchors)
            z = np.empty((*shape, vectors.shape[2]), np.float32) if z is None else z
            z[inner] = vectors[crop]
        return z

    def synthesise(self, y: Integers, quality: int, height: int, width: int) -> NDArray[np.uint8]:
        """Transform decoded C-vectors (h, w, C), as the prior gives them, into pixels (height, width, 3)."""
        pixels = np.empty((height, width, 3), np.uint8)
        for window, levels in self._decoded(y, quality):
            _write(np.clip(np.rint(levels), 0, 255), pixels[window])
        return pixels

    def decoded(self, y: Integers, quality: int, height: int, width: int) -> Floats:
        """Give the levels (height, width, 3) that :meth:`synthesise` rounds, which may lie beyond 0 and 255."""
        pixels = np.empty((height, width, 3), np.float32)
        for window, levels in self._decoded(y, quality):
            _write(levels, pixels[window])
        return pixels

    def _decoded(self, y: Integers, quality: int) -> Iterator[tuple[Window, Floats]]:
        """Windows of the picture and their levels (rows, columns, 3), of whole blocks, also beyond the picture."""
        anchors = mix(quality, self._profile.anchors)
        # The decoder's map has one position for a block, but a square of them for a tile.
        patch, map_of = (self._profile.patch, self._grown) if self._is_tiled else (1, self._seeded)
        rows, columns, side = y.shape[0] * patch, y.shape[1] * patch, self._block // patch
        features = map_of(y, anchors)
        for outer, inner, crop in windows(rows, columns, side, WINDOW, self._profile.decoder_margin):
            x = self._graph(DECODER)(features(outer), anchors)
            x = x[scaled(crop[0], side), scaled(crop[1], side)]
            yield (scaled(inner[0], side), scaled(inner[1], side)), (x + np.float32(0.5)) * np.float32(255)

    def gradient(
        self, y: Integers, wanted: NDArray[np.uint8] | Floats, quality: int, free: NDArray[np.bool_] | None = None
    ) -> Iterator[tuple[Floats, float]]:
        """Differentiate half the squared error of the pixels by decoded C-vectors (h, w, C), of a codec of blocks.

        ``wanted`` are the levels (H, W, 3) that the vectors should decode to, at most :data:`HIGHEST_WANTED`, and
        errors are in units of 255 levels. Blocks that are ``free`` (h, w) may decode to anything. Gives the gradient in
        strips (rows, w, C) from the top, each with the squared error of its blocks.
        """
        profile, channels, anchors = self._profile, self._profile.channels, mix(quality, self._profile.anchors)
        features, (height, width) = self._seeded(y, anchors), y.shape[:2]

        def through_pixels(window: Window) -> Floats:
            blocks = _blocks(wanted[scaled(window[0], self._block), scaled(window[1], self._block)], self._block)
            if free is not None:
                blocks[free[window]] = NOT_WANTED
            return self._graph(GRADIENT)(np.concatenate([features(window), blocks], axis=2), anchors)

        # What a vector decodes to depends on vectors as far away again.
        parts = windows(height, width, self._block, GRADIENT_WINDOW, 2 * profile.decoder_margin)
        by_map = _Strips(_strips(parts, through_pixels))  # (rows, w, C + C_seed + 1)

        def through_seeds(window: Window) -> Floats:
            by = by_map.window(window)
            given = np.concatenate([to_real(y[window]), by[..., channels:-1]], axis=2)
            by_vectors = by[..., :channels] + self._graph(GRADIENT_GRID)(given, anchors)
            return np.concatenate([by_vectors, by[..., -1:]], axis=2)

        for strip in _strips(windows(height, width, 1, GRID_WINDOW, 2 * profile.decoder_grid_margin), through_seeds):
            yield strip[..., :-1], float(strip[..., -1].sum(dtype=np.float64))

    def _seeded(self, y: Integers, anchors: Floats) -> Callable[[Window], Floats]:
        """The decoder's map of a codec of blocks: C-vectors, and what FINOLA grows from (h, w, C + C_seed)."""
        parts = windows(y.shape[0], y.shape[1], 1, GRID_WINDOW, self._profile.decoder_grid_margin)
        seeds = _Strips(_strips(parts, lambda window: self._graph(DECODER_GRID)(to_real(y[window]), anchors)))
        return lambda window: np.concatenate([to_real(y[window]), seeds.window(window)], axis=2)

    def _grown(self, y: Integers, anchors: Floats) -> Callable[[Window], Floats]:
        """The decoder's map of a codec of tiles, which it grows from the C-vectors (h patch, w patch, features)."""

        def grow(row: int) -> Floats:
            vectors = to_real(y[row : row + 1])
            parts = range(0, vectors.shape[1], GROWN_AT_ONCE)
            return np.concatenate([self._graph(GROWTH)(vectors[:, i : i + GROWN_AT_ONCE], anchors) for i in parts], 1)

        return _Strips(grow(row) for row in range(len(y))).window


def _strips(parts: Iterator[tuple[Window, Window, Window]], transform: Callable[[Window], Floats]) -> Iterator[Floats]:
    """Transform windows, and put those beside each other together: strips of a map, from the top."""
    for _, row in groupby(parts, key=lambda part: part[1][0].start):
        yield np.concatenate([transform(outer)[crop] for outer, _, crop in row], axis=1)


class _Strips:
    """A map computed strip by strip, from the top. A strip is dropped once no later window needs it."""

    def __init__(self, strips: Iterator[Floats]) -> None:
        self._strips = strips
        self._kept: list[Floats] = []
        self._top = self._bottom = 0  # of those that are held

    def window(self, window: Window) -> Floats:
        """Return a window of the map. Windows come row by row."""
        rows, columns = window
        while self._bottom < rows.stop:
            self._kept.append(next(self._strips))
            self._bottom += len(self._kept[-1])
        while self._top + len(self._kept[0]) <= rows.start:
            self._top += len(self._kept.pop(0))
        strip = np.concatenate([kept[:, columns] for kept in self._kept])
        return strip[rows.start - self._top : rows.stop - self._top]


def _write(levels: Floats, window: NDArray) -> None:
    """Write levels of whole blocks into a window that ends where the picture does."""
    window[...] = levels[: window.shape[0], : window.shape[1]]


def _blocks(pixels: NDArray[np.uint8] | Floats, block: int) -> Floats:
    """Pixels (H, W, 3) to those of each block (h, w, 3 * block^2) in [-0.5, 0.5], NOT_WANTED beyond the picture."""
    rows, columns = -pixels.shape[0] % block, -pixels.shape[1] % block
    x = pixels.astype(np.float32) / np.float32(255) - np.float32(0.5)
    x = np.pad(x, ((0, rows), (0, columns), (0, 0)), constant_values=NOT_WANTED)
    x = x.reshape(x.shape[0] // block, block, x.shape[1] // block, block, 3).swapaxes(1, 2)
    return x.reshape(*x.shape[:2], -1)


def _pad(array: NDArray, multiple: int, mode: Literal["edge", "symmetric"]) -> NDArray:
    """Continue the last rows and columns, repeated or mirrored, until the sides are multiples."""
    rows, columns = -array.shape[0] % multiple, -array.shape[1] % multiple
    return np.pad(array, ((0, rows), (0, columns), (0, 0)), mode=mode)
