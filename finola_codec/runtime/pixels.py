"""The transforms between pixels and vectors, by windows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.fixed import Integers, to_real
from finola_codec.profiles import BlockProfile, Profile
from finola_codec.quality import mix
from finola_codec.runtime.devices import Floats, Graph
from finola_codec.runtime.manifest import DECODER, ENCODER, GROWTH, HYPER_ENCODER
from finola_codec.runtime.windows import Window, scaled, windows

WINDOW = 2**20  # the pixels that a window reads; this bounds memory
GROWN_AT_ONCE = 4  # a tile codec grows this many C-vectors together, because their map is large
HYPER_WINDOW = 2**14  # C-vectors that a window of the hyper encoder reads, which sees no further than a hyper vector


# Opens one of a model's ONNX files by its name; the second argument is that of devices.open_graph.
Opener = Callable[[str, bool], Graph]


def pixels_of(profile: Profile, open_graph: Opener) -> Pixels:
    """Return the transforms of a model."""
    hyper_patch = profile.hyper_patch if isinstance(profile, BlockProfile) else None
    return Pixels(profile, hyper_patch, open_graph)


class Pixels:
    """Encoder, hyper encoder and decoder of one model; graphs are opened when first used.

    Pictures are transformed by windows, which read a margin around them that is as wide as the networks see far. So
    what comes out does not depend on how a picture is divided, and memory does not grow with the picture.
    """

    def __init__(self, profile: Profile, hyper_patch: int | None, open_graph: Opener) -> None:
        self._profile, self._block, self._open = profile, profile.block, open_graph
        # A codec of blocks has a hyper encoder, one of tiles has a part of the decoder that takes each tile by itself.
        self._hyper_patch, self._is_tiled = hyper_patch, hyper_patch is None

    @cached_property
    def _encoder(self) -> Graph:
        return self._open(ENCODER, False)

    @cached_property
    def _hyper_encoder(self) -> Graph:
        return self._open(HYPER_ENCODER, False)

    @cached_property
    def _growth(self) -> Graph:
        return self._open(GROWTH, True)

    @cached_property
    def _decoder(self) -> Graph:
        return self._open(DECODER, True)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of C-vectors that cover a picture."""
        return -(-height // self._block), -(-width // self._block)

    def analyse(self, pixels: NDArray[np.uint8], quality: int) -> Floats:
        """Transform pixels (H, W, 3) into C-vectors (h, w, C)."""
        block, anchors = self._block, mix(quality, self._profile.anchors)
        height, width = self.grid(*pixels.shape[:2])
        y: Floats | None = None
        # A tile codec encodes each tile by itself.
        size = block**2 if self._is_tiled else WINDOW
        for outer, inner, crop in windows(height, width, block, size, self._profile.encoder_margin):
            x = _pad(pixels[scaled(outer[0], block), scaled(outer[1], block)], block, "symmetric")
            vectors = self._encoder(x.astype(np.float32) / np.float32(255) - np.float32(0.5), anchors)
            y = np.empty((height, width, vectors.shape[2]), np.float32) if y is None else y
            y[inner] = vectors[crop]
        assert y is not None
        return y

    def hyper(self, y: Floats, quality: int) -> Floats | None:
        """Transform C-vectors (h, w, C) into hyper vectors (ceil(h/p), ceil(w/p), C_hyper), or None."""
        if self._hyper_patch is None:
            return None
        anchors, patch = mix(quality, self._profile.anchors), self._hyper_patch
        shape = -(-y.shape[0] // patch), -(-y.shape[1] // patch)
        z: Floats | None = None
        for outer, inner, crop in windows(*shape, patch, HYPER_WINDOW, patch):
            part = _pad(y[scaled(outer[0], patch), scaled(outer[1], patch)], patch, "edge")
            vectors = self._hyper_encoder(part, anchors)
            z = np.empty((*shape, vectors.shape[2]), np.float32) if z is None else z
            z[inner] = vectors[crop]
        return z

    def synthesise(self, y: Integers, quality: int, height: int, width: int) -> NDArray[np.uint8]:
        """Transform decoded C-vectors (h, w, C), as the prior gives them, into pixels (height, width, 3)."""
        anchors = mix(quality, self._profile.anchors)
        patch = self._profile.patch if self._is_tiled else 1  # positions a side that the decoder takes for a C-vector
        side = self._block // patch
        vectors: Callable[[Window], Floats] = (
            _Grown(self._growth, y, anchors, patch) if self._is_tiled else lambda window: to_real(y[window])
        )
        rows, columns = y.shape[0] * patch, y.shape[1] * patch
        pixels = np.empty((rows * side, columns * side, 3), np.uint8)
        for outer, inner, crop in windows(rows, columns, side, WINDOW, self._profile.decoder_margin):
            x = self._decoder(vectors(outer), anchors)
            x = x[scaled(crop[0], side), scaled(crop[1], side)]
            levels = np.clip(np.rint((x + np.float32(0.5)) * np.float32(255)), 0, 255)
            pixels[scaled(inner[0], side), scaled(inner[1], side)] = levels
        return pixels[:height, :width]


class _Grown:
    """The map that a tile codec grows from its C-vectors. Rows of tiles are grown when a window first asks for them."""

    def __init__(self, growth: Graph, y: Integers, anchors: Floats, patch: int) -> None:
        self._growth, self._y, self._anchors, self._patch = growth, y, anchors, patch
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
        return np.concatenate([self._growth(vectors[:, i : i + GROWN_AT_ONCE], self._anchors) for i in parts], 1)


def _pad(array: NDArray, multiple: int, mode: Literal["edge", "symmetric"]) -> NDArray:
    """Continue the last rows and columns, repeated or mirrored, until the sides are multiples."""
    rows, columns = -array.shape[0] % multiple, -array.shape[1] % multiple
    return np.pad(array, ((0, rows), (0, columns), (0, 0)), mode=mode)
