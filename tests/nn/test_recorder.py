"""Graphs that are recorded by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F

from finola_codec.nn.recorder import Recorder


def test_weights_lie_in_another_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {
        "large.weight": rng.normal(size=(12, 16, 3, 3)).astype(np.float16).astype(np.float32),
        "large.bias": rng.normal(size=12).astype(np.float32),
        "zero.bias": np.zeros(16, np.float32),
    }
    content = (
        b"what stands before" + weights["large.weight"].astype(np.float16).tobytes() + weights["large.bias"].tobytes()
    )
    (tmp_path / "weights.bin").write_bytes(content)
    op = Recorder(weights, tmp_path / "weights.bin", content)
    x = op.input("x", 1, 16, "height", "width")
    y = op("Conv", x, op.weight("large.weight"), op.weight("large.bias"), pads=[1] * 4)
    back = op("Conv", y, op.turned("large.weight"), op.weight("zero.bias"), pads=[1] * 4)
    graph = op.graph([x], back, (1, 16, None, None))
    onnx.save(graph, tmp_path / "graph.onnx")
    assert (tmp_path / "graph.onnx").stat().st_size < len(content) / 2

    session = onnxruntime.InferenceSession(str(tmp_path / "graph.onnx"))
    given = rng.normal(size=(1, 16, 5, 7)).astype(np.float32)
    (made,) = session.run(None, {"x": given})
    layer = torch.from_numpy(weights["large.weight"])
    expected = F.conv2d(torch.from_numpy(given), layer, torch.from_numpy(weights["large.bias"]), padding=1)
    expected = F.conv_transpose2d(expected, layer, padding=1)
    assert np.allclose(made, expected.numpy(), atol=1e-3)


def test_the_transpose_of_a_shuffled_convolution(tmp_path: Path) -> None:
    weight = np.random.default_rng(1).normal(size=(3 * 4, 5, 3, 3)).astype(np.float32)
    op = Recorder({"weight": weight}, tmp_path / "unused", b"")
    x = op.input("x", 1, 3, "height", "width")
    y = op("Conv", op("SpaceToDepth", x, blocksize=2), op.turned("weight", 2), pads=[1] * 4)
    session = onnxruntime.InferenceSession(op.graph([x], y, (1, 5, None, None)).SerializeToString())
    given = np.random.default_rng(2).normal(size=(1, 3, 8, 6)).astype(np.float32)
    expected = F.conv_transpose2d(F.pixel_unshuffle(torch.from_numpy(given), 2), torch.from_numpy(weight), padding=1)
    assert np.allclose(session.run(None, {"x": given})[0], expected.numpy(), atol=1e-3)
