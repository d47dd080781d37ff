"""The transforms between pixels and vectors, in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finola_codec.entropy.fixed import Integers, to_real
from finola_codec.errors import ModelError
from finola_codec.profiles import BlockProfile, Profile
from finola_codec.quality import mix
from finola_codec.runtime.manifest import DECODER, ENCODER, GROWTH, HYPER_ENCODER
from finola_codec.runtime.windows import Window, scaled, windows

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

WINDOW = 2**19  # the pixels of a window; this bounds memory
GROWN_AT_ONCE = 4  # a tile codec grows this many C-vectors together, because their map is large
HYPER_WINDOW = 2**14  # C-vectors of a window of the hyper encoder, which sees no further than one hyper vector

Floats = NDArray[np.float32]


class Paths(NamedTuple):
    """The ONNX files of one model."""

    encoder: Path
    hyper_encoder: Path | None
    growth: Path | None  # the part of a tile codec's decoder that takes each tile by itself
    decoder: Path


def pixels_of(folder: Path, profile: Profile, threads: int) -> Pixels:
    """The transforms of the model in ``folder``."""
    if isinstance(profile, BlockProfile):
        paths = Paths(folder / ENCODER, folder / HYPER_ENCODER, None, folder / DECODER)
        return Pixels(paths, profile, profile.hyper_patch, threads)
    return Pixels(Paths(folder / ENCODER, None, folder / GROWTH, folder / DECODER), profile, 1, threads)


class Pixels:
    """Encoder, hyper encoder and decoder of one model; sessions are made when first used.

    Pictures are transformed by windows, which read a margin around them that is as wide as the networks see far. So
    what comes out does not depend on how a picture is divided, and memory does not grow with the picture.
    """

    def __init__(self, paths: Paths, profile: Profile, hyper_patch: int, threads: int) -> None:
        self._paths, self._profile, self._threads = paths, profile, threads
        self._block, self._patch = profile.block, hyper_patch

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
            vectors = _run(self._encoder, x.astype(np.float32) / np.float32(255) - np.float32(0.5), anchors)
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
            vectors = _run(self._hyper_encoder, part, anchors)
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
            x = _run(self._decoder, vectors(outer), anchors)
            x = x[scaled(crop[0], side), scaled(crop[1], side)]
            levels = np.clip(np.rint((x + np.float32(0.5)) * np.float32(255)), 0, 255)
            pixels[scaled(inner[0], side), scaled(inner[1], side)] = levels
        return pixels[:height, :width]


class _Grown:
    """The map that a tile codec grows from its C-vectors. Rows of tiles are grown when a window first asks for them."""

    def __init__(self, growth: InferenceSession, y: Integers, anchors: Floats, patch: int) -> None:
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
        return np.concatenate([_run(self._growth, vectors[:, i : i + GROWN_AT_ONCE], self._anchors) for i in parts], 1)


def _session(path: Path, threads: int) -> InferenceSession:
    import onnxruntime  # imported late: it takes a tenth of a second, and info and errors do without it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin between runs take the cores from NumPy's products, which come in between.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # An arena keeps the most memory that any window needed. Without it, memory falls to a third, time grows by a tenth.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise ModelError(f"{path}: {error}") from error


def _run(session: InferenceSession, x: Floats, anchors: Floats) -> Floats:
    """Run a session, which wants channels first, on a map (rows, columns, channels) and a mix of anchors."""
    x = np.ascontiguousarray(x.transpose(2, 0, 1)[None])
    inputs = {"input": x, "mix": anchors}
    return session.run(None, {i.name: inputs[i.name] for i in session.get_inputs()})[0][0].transpose(1, 2, 0)


def _pad(array: NDArray, multiple: int, mode: Literal["edge", "symmetric"]) -> NDArray:
    """Continue the last rows and columns, repeated or mirrored, until the sides are multiples."""
    rows, columns = -array.shape[0] % multiple, -array.shape[1] % multiple
    return np.pad(array, ((0, rows), (0, columns), (0, 0)), mode=mode)
