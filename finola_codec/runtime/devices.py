"""What the transforms run on: ONNX Runtime with one of its execution providers, or OpenVINO.

The decoded integers never depend on it, because the prior does not run here. Pixels may differ by a level of 255.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finola_codec.errors import ConfigError, ModelError, how_to_install

VARIABLE = "FINOLA_DEVICE"
AUTO, OPENVINO = "auto", "openvino"
# ONNX Runtime's execution providers.
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
DEVICES = (AUTO, *PROVIDERS, OPENVINO)

Floats = NDArray[np.float32]
# Takes a map (rows, columns, channels) and a mix of anchors (1, anchors), and gives a map.
Graph = Callable[[Floats, Floats], Floats]


def choose(device: str | None = None) -> str:
    """Return ``device``, or else what the environment variable FINOLA_DEVICE says, or else "auto".

    Raises :class:`ConfigError` for a device that is unknown or that is not installed.
    """
    name = device or os.environ.get(VARIABLE) or AUTO
    if name not in DEVICES:
        raise ConfigError(f"no device {name!r}; known are {', '.join(DEVICES)}")
    if name == OPENVINO and find_spec("openvino") is None:
        raise ConfigError(f"the device openvino needs: {how_to_install('openvino')}")
    if name not in ("cpu", AUTO, OPENVINO):
        import onnxruntime

        if PROVIDERS[name] not in (available := onnxruntime.get_available_providers()):
            raise ConfigError(
                f"the device {name} needs an onnxruntime with {PROVIDERS[name]}; this one has {available}"
            )
    return name


def open_graph(path: Path, device: str, threads: int, leads_to_pixels: bool) -> Graph:
    """Open an ONNX file on a device that :func:`choose` has returned. Raises :class:`ModelError` where that fails.

    "auto" is OpenVINO where it is installed, and else the CPU by ONNX Runtime. OpenVINO calculates in bfloat16 where
    the CPU can, which is twice as fast again or more. "auto" does without that in graphs on the way to pixels, of which
    one in ten thousand would then differ by two levels of 255.
    """
    try:
        if device == OPENVINO or (device == AUTO and find_spec("openvino")):
            return _in_openvino(path, threads, device == AUTO, leads_to_pixels)
        return _in_onnxruntime(path, threads, PROVIDERS.get(device, PROVIDERS["cpu"]))
    except Exception as error:  # the exceptions of these libraries share no base class of their own
        raise ModelError(f"{path}: {error}") from error


def _in_onnxruntime(path: Path, threads: int, provider: str) -> Graph:
    import onnxruntime  # imported late: it takes a tenth of a second, and info and errors do without it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin between runs take the cores from NumPy's products, which come in between.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # An arena would keep what the largest window needed while the prior needs memory; time grows by 2 to 4 %.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = 4  # an error is an exception too, which becomes the one line that is said of it
    session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    names = [i.name for i in session.get_inputs()]

    def run(x: Floats, mix: Floats) -> Floats:
        inputs = {"input": channels_first(x), "mix": mix}
        try:
            return _channels_last(session.run(None, {name: inputs[name] for name in names})[0])
        except Exception as error:  # ONNX Runtime has no class of its own for this
            if "alloc" in str(error):
                raise MemoryError(str(error)) from error
            raise

    return run


def _in_openvino(path: Path, threads: int, exact_pixels: bool, leads_to_pixels: bool) -> Graph:
    import openvino

    config: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY"}
    if threads:
        config["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    model = core.read_model(path)
    if not leads_to_pixels:
        _widen_shortcut(model)
    elif exact_pixels:
        config["INFERENCE_PRECISION_HINT"] = "f32"
    else:
        _keep_shortcut_exact(model)
    compiled = core.compile_model(model, "CPU", config)
    names = [i.any_name for i in compiled.inputs]
    request, lock = compiled.create_infer_request(), threading.Lock()  # a request serves one thread at a time

    def run(x: Floats, mix: Floats) -> Floats:
        inputs = {"input": channels_first(x), "mix": mix}
        with lock:
            return _channels_last(request.infer({name: inputs[name] for name in names})[0])

    return run


def _widen_shortcut(model: Any) -> None:
    """Have the linear shortcut from pixels to vectors calculated for one more column, and drop that.

    OpenVINO 2026.4 gives wrong numbers for it in bfloat16, where a picture is one block wide and more than four high.
    """
    from openvino import opset13

    def numbers(*values: int) -> Any:
        return opset13.constant(np.array(values, np.int64))

    for node in _padded_convolutions(model):
        stride = node.get_strides()[1]
        if stride == 1:  # it is another one, in the decoder's gradient
            continue
        readers = list(node.output(0).get_target_inputs())
        more = numbers(0, 0, 0, stride)
        padded = opset13.pad(node.input_value(0), numbers(0, 0, 0, 0), more, "constant")
        node.input(0).replace_source_output(padded.output(0))
        columns = opset13.slice(node, start=numbers(0), stop=numbers(-1), step=numbers(1), axes=numbers(3))
        for reader in readers:
            reader.replace_source_output(columns.output(0))


def _keep_shortcut_exact(model: Any) -> None:
    """Have the linear shortcut from vectors to pixels calculated in float32 where all else may be in bfloat16.

    It makes nearly all of a picture, and bfloat16 would cost 0.2 dB at quality 100. Near the end of a graph OpenVINO
    leaves what is no plain convolution in float32: so it becomes a transposed one, with the kernel turned around.
    """
    from openvino import opset13

    for node in _padded_convolutions(model):
        padded, weights = node.input_value(0), node.input_value(1).get_node()
        while weights.get_type_name() != "Constant":  # they are stored as float16 and converted
            weights = weights.input_value(0).get_node()
        kernel = weights.data.astype(np.float32).transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
        sides = [side - 1 for side in kernel.shape[2:]]
        turned = opset13.convolution_backprop_data(
            padded, np.ascontiguousarray(kernel), strides=[1, 1], pads_begin=sides, pads_end=sides, dilations=[1, 1]
        )
        node.output(0).replace(turned.output(0))


def _padded_convolutions(model: Any) -> list[Any]:
    """Return the convolutions of what has been padded before; the linear shortcuts are the only ones."""
    nodes = (node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution")
    return [node for node in nodes if node.input_value(0).get_node().get_type_name() == "Pad"]


def channels_first(x: Floats) -> Floats:
    """Bring a map into the form that graphs take."""
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])  # (H, W, C) -> (1, C, H, W)


def _channels_last(x: Floats) -> Floats:
    return x[0].transpose(1, 2, 0)  # (1, C, H, W) -> (H, W, C)
