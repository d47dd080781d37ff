"""Weights as small integers, for the web: each tensor only as fine as the picture needs.

Quantizing a tensor adds an error to the picture that grows with the square of its step. A bit more for each of its
weights makes that error four times less. So the fewest bits for an error in all are spent where the error of each
tensor is in proportion to the number of its weights. What each one's error is, is measured: on a sample, at a
trial step. It differs by a factor of ten thousand between tensors of one size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finola_codec.errors import ConfigError, how_to_install

LOSS = 0.004  # the squared error that is added in all, as a share of what the decoder makes anyway; the mean of samples
SMALLEST = 4096  # numbers; smaller tensors stay as they are
TRIAL_STEP = 1 / 8  # in units of a row's scale
COARSEST_STEP = 1  # where errors still grow with the square of the step
QUIETEST = 1e-3  # of the loudest: channels that are quieter count as if they were so loud
BYTE = 256
CONVOLUTIONS = {"Conv": 1, "ConvTranspose": 0}  # the axis of the weights that the input's channels run along

Floats = NDArray[np.float32]


class Sample(NamedTuple):
    """What the graphs are given, one after the other, and the picture that should come out."""

    vectors: Floats  # (1, C, h, w)
    mix: Floats  # (1, anchors)
    picture: Floats  # (1, 3, H, W), in [-0.5, 0.5]


@dataclass
class _Weight:
    graph: int
    name: str
    values: Floats
    scale: Floats  # a row's unit of steps, (rows, 1, ...) or (1, rows, 1, ...)
    row: int = 0  # the axis that rows are counted along: 0 or 1
    step: float = TRIAL_STEP  # in these units

    def integers(self) -> NDArray[np.int32]:
        return np.rint(self.values / (self.step * self.scale)).astype(np.int32)

    def quantized(self) -> Floats:
        return self.integers().astype(np.float32) * (np.float32(self.step) * self.scale)


def compact(paths: Sequence[Path], samples: Sequence[Sample]) -> list[bytes]:
    """Return the graphs at ``paths``, which run one after the other, with integers for weights.

    A graph is given what the one before it makes; or before that, where it takes so many channels, what that was given.

    Raises :class:`ConfigError` where onnx is not installed.
    """
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ConfigError(f"models for the web need {error.name}: {how_to_install('web')}") from error
    models = [_with_float_weights(onnx.load(path)) for path in paths]
    chain = _Chain(models, samples)
    weights = [w for index, model in enumerate(models) for w in _weights_of(index, model, chain)]
    added = np.array([chain.added_error(weight) for weight in weights])
    sizes = np.array([weight.values.size for weight in weights])
    allowed = LOSS * sizes / sizes.sum()
    for weight, factor in zip(weights, np.sqrt(allowed / np.maximum(added, 1e-12)), strict=True):
        finest = float((np.abs(weight.values) / weight.scale).max()) / (BYTE**2 // 2 - BYTE)
        weight.step = float(np.clip(weight.step * factor, finest, COARSEST_STEP))
    for index, model in enumerate(models):
        _store(model, [weight for weight in weights if weight.graph == index])
    return [model.SerializeToString() for model in models]


class _Chain:
    """Graphs that run one after the other, with weights that can be replaced."""

    def __init__(self, models: Sequence[Any], samples: Sequence[Sample]) -> None:
        self._sessions = [_session(model) for model in models]
        self._samples = samples
        self._inputs = [[sample.vectors for sample in samples]]  # of each graph, for each sample
        self.seen: list[list[Mapping[str, Floats]]] = []  # all outputs of each graph, for each sample
        for index in range(len(models)):
            self.seen.append([self._run(index, x, i, {}) for i, x in enumerate(self._inputs[index])])
            pairs = zip(self._inputs[index], self.seen[index], strict=True)
            self._inputs.append([self._following(index, x, outputs["output"]) for x, outputs in pairs])
        self.errors = [_error(x, sample.picture) for x, sample in zip(self._inputs[-1], samples, strict=True)]

    def added_error(self, weight: _Weight) -> float:
        """Return what quantizing adds to the squared error, as a share of it: the mean of the samples."""
        shares = []
        for i, x in enumerate(self._inputs[weight.graph]):
            for index in range(weight.graph, len(self._sessions)):
                replaced = {weight.name: weight.quantized()} if index == weight.graph else {}
                x = self._following(index, x, self._run(index, x, i, replaced)["output"])
            shares.append(_error(x, self._inputs[-1][i]) / self.errors[i])
        return float(np.mean(shares))

    def _following(self, index: int, given: Floats, made: Floats) -> Floats:
        """Return what the graph after number ``index`` is given, or the picture that the last one makes."""
        if index + 1 == len(self._sessions) or self._sessions[index + 1].get_inputs()[0].shape[1] == made.shape[1]:
            return made
        return np.concatenate([given, made], axis=1)

    def _run(self, index: int, x: Floats, sample: int, replaced: Mapping[str, Floats]) -> Mapping[str, Floats]:
        session = self._sessions[index]
        feeds = {"input": x, "mix": self._samples[sample].mix}
        known = {i.name for i in session.get_inputs()}
        outputs = session.run(None, {name: feeds[name] for name in feeds if name in known} | dict(replaced))
        return dict(zip((o.name for o in session.get_outputs()), outputs, strict=True))


def _error(a: Floats, b: Floats) -> float:
    return float(np.mean(np.square(a - b, dtype=np.float64)))


def _session(model: Any) -> Any:
    """Open a session in which each weight can be an input, and which tells what enters the linear shortcut."""
    import onnx
    import onnxruntime

    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    graph = open_model.graph
    for tensor in _large(graph):
        graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    for node in _shortcuts(graph):
        graph.output.append(onnx.helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(open_model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _large(graph: Any) -> list[Any]:
    return [t for t in graph.initializer if t.data_type == 1 and len(t.dims) > 1 and np.prod(t.dims) >= SMALLEST]


def _shortcuts(graph: Any) -> list[Any]:
    """Return the convolution that reads the vectors themselves, padded, whose channels differ a thousandfold."""
    parts = {node.output[0] for node in graph.node if node.op_type == "Slice" and node.input[0] == "input"}
    padded = {node.output[0] for node in graph.node if node.op_type == "Pad" and node.input[0] in {"input", *parts}}
    return [node for node in graph.node if node.op_type in CONVOLUTIONS and node.input[0] in padded]


def _with_float_weights(model: Any) -> Any:
    """Return the model with its large tensors as float32 where it has float16 and a cast."""
    import onnx

    graph = model.graph
    halves = {t.name: t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT16}
    for node in [n for n in graph.node if n.op_type == "Cast" and n.input[0] in halves]:
        tensor = halves[node.input[0]]
        if len(tensor.dims) > 1 and np.prod(tensor.dims) >= SMALLEST:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, node.output[0]))
            graph.node.remove(node)
    return model


def _weights_of(index: int, model: Any, chain: _Chain) -> list[_Weight]:
    """Return the large tensors of a graph, and what is a fair unit of steps for each of their rows."""
    import onnx

    shortcuts = {node.input[1]: node for node in _shortcuts(model.graph)}
    found = []
    for tensor in _large(model.graph):
        values = onnx.numpy_helper.to_array(tensor)
        node = shortcuts.get(tensor.name)
        # Of the shortcut a row is an input channel, where an error counts for as much as the channel is loud.
        row = 0 if node is None else CONVOLUTIONS[node.op_type]
        others = tuple(axis for axis in range(values.ndim) if axis != row)
        deviation = np.sqrt(np.mean(values**2, axis=others, keepdims=True))
        scale = np.maximum(deviation, 1e-9)
        if node is not None:
            loud = _loudness(chain.seen[index], node.input[0], chain.errors).reshape(scale.shape)
            scale = np.sqrt(np.mean((loud * deviation) ** 2)) / loud
        found.append(_Weight(index, tensor.name, values, scale.astype(np.float32), row))
    return found


def _loudness(seen: Sequence[Mapping[str, Floats]], name: str, errors: Sequence[float]) -> NDArray[np.float64]:
    """Return how loud the channels (channels,) of the map ``name`` are in what a graph made of each sample."""
    power = np.zeros(1)
    for maps, error in zip(seen, errors, strict=True):
        power = power + np.mean(np.square(maps[name], dtype=np.float64), axis=(0, 2, 3)) / error / len(errors)
    return np.sqrt(np.maximum(power, QUIETEST**2 * power.max()))


def _store(model: Any, weights: Sequence[_Weight]) -> None:
    """Put integers in the place of weights, and before all other nodes those that make weights of them.

    ONNX Runtime computes these nodes once, when it opens the graph.
    """
    import onnx

    graph, nodes = model.graph, []
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(BYTE, np.float32), "byte"))
    for weight in weights:
        values, name = np.swapaxes(weight.integers(), 0, weight.row), weight.name  # row by row they compress better
        tensor = next(t for t in graph.initializer if t.name == name)
        graph.initializer.remove(tensor)
        high = (values + BYTE // 2) // BYTE
        parts = [("low", values - BYTE * high)] + ([("high", high)] if high.any() else [])
        for part, integers in parts:
            graph.initializer.append(onnx.numpy_helper.from_array(integers.astype(np.int8), f"{name}_{part}"))
            nodes.append(onnx.helper.make_node("Cast", [f"{name}_{part}"], [f"{name}_{part}_real"], to=1))
        whole = f"{name}_low_real"
        if high.any():
            nodes.append(onnx.helper.make_node("Mul", [f"{name}_high_real", "byte"], [f"{name}_high_shifted"]))
            nodes.append(onnx.helper.make_node("Add", [f"{name}_high_shifted", whole], [f"{name}_sum"]))
            whole = f"{name}_sum"
        scale = np.swapaxes(np.float32(weight.step) * weight.scale, 0, weight.row)
        graph.initializer.append(onnx.numpy_helper.from_array(scale, f"{name}_scale"))
        rows = f"{name}_rows" if weight.row else name
        nodes.append(onnx.helper.make_node("Mul", [whole, f"{name}_scale"], [rows]))
        if weight.row:
            nodes.append(onnx.helper.make_node("Transpose", [rows], [name], perm=[1, 0, *range(2, values.ndim)]))
    nodes += list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
