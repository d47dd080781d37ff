"""The transforms between pixels and vectors, by windows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.fixed import Integers, to_real
from finola_codec.profiles import BlockProfile, Profile
from finola_codec.quality import mix
from finola_codec.runtime.devices import Floats, Graph, open_graph
from finola_codec.runtime.manifest import DECODER, ENCODER, GROWTH, HYPER_ENCODER
from finola_codec.runtime.windows import Window, scaled, windows

WINDOW = 2**19  # the pixels of a window; this bounds memory
GROWN_AT_ONCE = 4  # a tile codec grows this many C-vectors together, because their map is large
HYPER_WINDOW = 2**14  # C-vectors of a window of the hyper encoder, which sees no further than one hyper vector


class Paths(NamedTuple):
    """The ONNX files of one model."""

    encoder: Path
    hyper_encoder: Path | None
    growth: Path | None  # the part of a tile codec's decoder that takes each tile by itself
    decoder: Path


def pixels_of(folder: Path, profile: Profile, threads: int, device: str) -> Pixels:
    """The transforms of the model in ``folder``."""
    if isinstance(profile, BlockProfile):
        paths = Paths(folder / ENCODER, folder / HYPER_ENCODER, None, folder / DECODER)
        return Pixels(paths, profile, profile.hyper_patch, threads, device)
    return Pixels(Paths(folder / ENCODER, None, folder / GROWTH, folder / DECODER), profile, 1, threads, device)


class Pixels:
    """Encoder, hyper encoder and decoder of one model; graphs are opened when first used.

    Pictures are transformed by windows, which read a margin around them that is as wide as the networks see far. So
    what comes out does not depend on how a picture is divided, and memory does not grow with the picture.
    """

    def __init__(self, paths: Paths, profile: Profile, hyper_patch: int, threads: int, device: str) -> None:
        self._paths, self._profile, self._threads, self._device = paths, profile, threads, device
        self._block, self._patch = profile.block, hyper_patch

    @cached_property
    def _encoder(self) -> Graph:
        return self._open(self._paths.encoder)

    @cached_property
    def _hyper_encoder(self) -> Graph:
        assert self._paths.hyper_encoder is not None
        return self._open(self._paths.hyper_encoder)

    @cached_property
    def _growth(self) -> Graph:
        assert self._paths.growth is not None
        return self._open(self._paths.growth, leads_to_pixels=True)

    @cached_property
    def _decoder(self) -> Graph:
        return self._open(self._paths.decoder, leads_to_pixels=True)

    def _open(self, path: Path, leads_to_pixels: bool = False) -> Graph:
        return open_graph(path, self._device, self._threads, leads_to_pixels)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Return the rows and columns of C-vectors that cover a picture."""
        return -(-height // self._block), -(-width // self._block)

    def analyse(self, pixels: NDArray[np.uint8], quality: int) -> Floats:
        """Transform pixels (H, W, 3) into C-vectors (h, w, C)."""
        block, anchors = self._block, mix(quality, self._profile.anchors)
        height, width = self.grid(*pixels.shape[:2])
        y: Floats | None = None
        # A tile codec encodes each tile by itself.
        size = block**2 if self._paths.growth else WINDOW
        for outer, inner, crop in windows(height, width, block, size, self._profile.encoder_margin):
            x = _pad(pixels[scaled(outer[0], block), scaled(outer[1], block)], block, "symmetric")
            vectors = self._encoder(x.astype(np.float32) / np.float32(255) - np.float32(0.5), anchors)
            y = np.empty((height, width, vectors.shape[2]), np.float32) if y is None else y
            y[inner] = vectors[crop]
        assert y is not None
        return y

    def hyper(self, y: Floats, quality: int) -> Floats | None:
        """Transform C-vectors (h, w, C) into hyper vectors (ceil(h/p), ceil(w/p), C_hyper), or None."""
        if self._paths.hyper_encoder is None:
            return None
        anchors, patch = mix(quality, self._profile.anchors), self._patch
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
        anchors, grows = mix(quality, self._profile.anchors), self._paths.growth is not None
        patch = self._profile.patch if grows else 1  # positions a side that the decoder takes for a C-vector
        side = self._block // patch
        vectors: Callable[[Window], Floats] = (
            _Grown(self._growth, y, anchors, patch) if grows else lambda window: to_real(y[window])
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
