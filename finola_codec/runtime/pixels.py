"""The transforms between pixels and vectors, in ONNX Runtime."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finola_codec.errors import ModelError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

QUALITIES = 100
Floats = NDArray[np.float32]


class Paths(NamedTuple):
    """The ONNX files of one model."""

    encoder: Path
    hyper_encoder: Path
    decoder: Path


class Pixels:
    """Encoder, hyper encoder and decoder of one model; sessions are made when first used."""

    def __init__(self, paths: Paths, block: int, patch: int, anchors: int, threads: int) -> None:
        self._paths = paths
        self._block, self._patch, self._anchors, self._threads = block, patch, anchors, threads

    @cached_property
    def _encoder(self) -> InferenceSession:
        return _session(self._paths.encoder, self._threads)

    @cached_property
    def _hyper_encoder(self) -> InferenceSession:
        return _session(self._paths.hyper_encoder, self._threads)

    @cached_property
    def _decoder(self) -> InferenceSession:
        return _session(self._paths.decoder, self._threads)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of C-vectors that cover a picture."""
        return -(-height // self._block), -(-width // self._block)

    def analyse(self, pixels: NDArray[np.uint8], quality: int) -> tuple[Floats, Floats]:
        """Pixels (H, W, 3) to C-vectors (h, w, C) and hyper vectors (ceil(h/p), ceil(w/p), C_hyper)."""
        weights = self._weights(quality)
        x = _pad(pixels, self._block).transpose(2, 0, 1)[None].astype(np.float32)
        x = x / np.float32(255) - np.float32(0.5)
        y = _run(self._encoder, x, weights)[0].transpose(1, 2, 0)
        z = _run(self._hyper_encoder, _pad(y, self._patch).transpose(2, 0, 1)[None], weights)[0].transpose(1, 2, 0)
        return y, z

    def synthesise(self, y: Floats, quality: int, height: int, width: int) -> NDArray[np.uint8]:
        """Decoded C-vectors (h, w, C) to pixels (height, width, 3)."""
        x = _run(self._decoder, y.transpose(2, 0, 1)[None], self._weights(quality))[0].transpose(1, 2, 0)
        levels = np.rint((x[:height, :width] + 0.5) * 255)
        return np.clip(levels, 0, 255).astype(np.uint8)

    def _weights(self, quality: int) -> Floats:
        """Interpolation weights (1, anchors) of a quality of 1..100."""
        position = (quality - 1) / (QUALITIES - 1) * (self._anchors - 1)
        return np.maximum(0, 1 - np.abs(position - np.arange(self._anchors)))[None].astype(np.float32)


def _session(path: Path, threads: int) -> InferenceSession:
    import onnxruntime  # a tenth of a second to import; info and errors do without

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise ModelError(f"{path}: {error}") from error


def _run(session: InferenceSession, x: Floats, weights: Floats) -> Floats:
    return session.run(None, {"input": np.ascontiguousarray(x), "weights": weights})[0]


def _pad(array: NDArray, multiple: int) -> NDArray:
    """Repeat the last row and column until the sides are multiples."""
    rows, columns = -array.shape[0] % multiple, -array.shape[1] % multiple
    return np.pad(array, ((0, rows), (0, columns), (0, 0)), mode="edge")
