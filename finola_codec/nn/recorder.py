"""Recording ONNX graphs by hand, for what the exporter of torch cannot trace.

A recorder is called with the name of an operator and what it is given: values, or numbers in their place.

>>> import io, onnxruntime
>>> op = Recorder({}, Path("unused.onnx"), b"")
>>> x = op.input("x", 1, 3, "height", "width")
>>> graph = op.graph([x], op("Mul", op.crop(x, 1, 0, 2), 0.5), (1, 2, None, None))
>>> session = onnxruntime.InferenceSession(graph.SerializeToString())
>>> session.run(None, {"x": np.ones((1, 3, 4, 5), np.float32)})[0].shape
(1, 2, 4, 5)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

OPSET, IR_VERSION = 20, 10
HALVED = 256  # weights of so many numbers are stored as float16

Value = ir.Value
# A float is a float32, whole numbers are a vector of int64.
Given = Value | float | Sequence[int] | NDArray


class Recorder:
    """Records the nodes of one graph.

    ``weights`` are parameters by name. A graph does not hold them: it refers to where ``file``, another graph in the
    folder that it will lie in, has them among its bytes ``content``.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]], file: Path, content: bytes) -> None:
        self._weights, self._file, self._content = weights, file, content
        self._tape = ir.tape.Tape()
        self._made: dict[str, Value] = {}  # what is used more than once

    def __call__(self, kind: str, *inputs: Given, **attributes: int | str | Sequence[int]) -> Value:
        """Record a node, and return its first output."""
        return self._tape.op(kind, [self._value(x) for x in inputs], attributes)

    def input(self, name: str, *shape: int | str) -> Value:
        """Return an input of the graph; a side that is named may have any size."""
        return ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT))

    def graph(self, inputs: Sequence[Value], output: Value, shape: Sequence[int | None]) -> onnx.ModelProto:
        """Return the graph that makes ``output``, which has this shape, of its inputs."""
        output.name, output.shape, output.type = "output", ir.Shape(shape), ir.TensorType(ir.DataType.FLOAT)
        recorded = ir.Graph(
            inputs,
            [output],
            nodes=self._tape.nodes,
            initializers=self._tape.initializers,
            opset_imports={"": OPSET},
            name="recorded",
        )
        model = ir.to_proto(ir.Model(recorded, ir_version=IR_VERSION))
        for node in model.graph.node:
            node.name = ""  # a sixth of the file
        return model

    def weight(self, name: str) -> Value:
        """Return a parameter in float32."""
        return self._once(name, lambda: self._stored(name, self._weights[name]))

    def column(self, name: str) -> Value:
        """Return a parameter (rows, columns) as the kernel of a convolution of one position, (columns, rows, 1, 1)."""
        return self._once(name, lambda: self._stored(name, self._weights[name].T[:, :, None, None]))

    def turned(self, name: str, side: int = 1) -> Value:
        """Return a convolution's weight for its transpose: inputs and outputs swapped, the kernel turned around.

        Where the convolution is followed by :meth:`shuffle`, the transpose has "SpaceToDepth" before it, which leaves
        channels in another order. The weight is for that order.
        """
        value, shape = self("Transpose", self.weight(name), perm=[1, 0, 2, 3]), self._weights[name].shape
        if shape[2:] != (1, 1):
            value = self("Slice", value, [-1, -1], [np.iinfo(np.int64).min] * 2, [2, 3], [-1, -1])
        if side > 1:
            value = self("Gather", value, np.arange(shape[0], dtype=np.int32).reshape(-1, side**2).T.ravel(), axis=1)
        return value

    def crop(self, x: Value, axis: int, start: int, stop: int | None) -> Value:
        """Return ``x[start:stop]`` along an axis."""
        return self("Slice", x, [start], [np.iinfo(np.int64).max if stop is None else stop], [axis])

    def split(self, x: Value, *sizes: int) -> list[Value]:
        """Return the channels of ``x`` (1, sum of sizes, h, w) apart."""
        stops = np.cumsum(sizes).tolist()
        return [self.crop(x, 1, stop - size, stop) for size, stop in zip(sizes, stops, strict=True)]

    def shuffle(self, x: Value, side: int) -> Value:
        """Do what torch's ``pixel_shuffle`` does: side * side channels become neighbours in one."""
        return self("DepthToSpace", x, blocksize=side, mode="CRD")

    def _value(self, given: Given) -> Value:
        if isinstance(given, Value):
            return given
        dtype = None if isinstance(given, np.ndarray) else np.float32 if isinstance(given, float) else np.int64
        array = np.asarray(given, dtype)
        key = f"{array.dtype}{array.shape}{array.tobytes()!r}"
        return self._once(key, lambda: self._tape.initializer(ir.tensor(array, name=f"constant{len(self._made)}")))

    def _stored(self, name: str, values: NDArray[np.float32]) -> Value:
        stored = values.astype(np.float16 if values.size >= HALVED else np.float32)
        where = self._content.find(stored.tobytes())
        if where < 0:  # torch's exporter leaves out what is zero
            return self._value(values)
        dtype, shape = ir.DataType.from_numpy(stored.dtype), ir.Shape(stored.shape)
        place = ir.ExternalTensor(self._file.name, where, stored.nbytes, dtype, shape=shape, name=name)
        value = self._tape.initializer(place)
        return value if stored.dtype == np.float32 else self("Cast", value, to=ir.DataType.FLOAT)

    def _once(self, key: str, make: Callable[[], Value]) -> Value:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]
