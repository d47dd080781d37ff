"""From a trained codec to a model folder: ONNX transforms, the exact integer prior, ``model.json``, a model card."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import onnxscript
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finola_codec.entropy import tables as frequency_tables
from finola_codec.entropy.tables import Tables
from finola_codec.nn.blocks import for_inference
from finola_codec.nn.gradient import write_gradients
from finola_codec.nn.integers import Arrays
from finola_codec.nn.model import BlockCodec, Codec, Graph
from finola_codec.nn.recorder import HALVED
from finola_codec.runtime.manifest import GRADIENTS, PRIOR, TUNED_FILES, Manifest
from finola_codec.runtime.model import Model, load_model

TRAINING = "training.safetensors"  # what continuing to train needs beyond what running does
CARD = "MODEL_CARD.md"
HALF = "_half"  # weights that are stored as float16 have names that end so
CALIBRATION_QUALITIES = (10, 30, 50, 70, 90)
TRACED_SIDE = 8  # the exporter traces a map of this many positions a side, but every size is dynamic


def export(codec: Codec, folder: Path, name: str, card: str, tables: Tables | None = None, licence: str = "") -> Model:
    """Write ``codec`` as the model ``name`` into ``folder`` and open it again.

    ``card`` is the text of its MODEL_CARD.md, and ``licence`` what ``model.json`` says of its licence. The frequency
    tables are those that training assumes unless ``tables`` are given. Raises :class:`ModelError` where the bound of a
    layer of the prior is not provable.
    """
    codec = codec.eval().float().cpu()
    tables = tables or frequency_tables.build()
    arrays = codec.prior.to_integers()
    bounds = codec.prior.exact(arrays, tables).bounds()
    folder.mkdir(parents=True, exist_ok=True)
    _write_prior(folder, arrays, tables)
    write_graphs(codec, folder, codec.graphs())
    (folder / CARD).write_text(card)
    Manifest(name, codec.profile, bounds, licence).write(folder)
    return load_model(folder)


def write_graphs(codec: Codec, folder: Path, files: Iterable[str]) -> None:
    """Write these ``files`` of the ONNX graphs of ``codec``, and what depends on all of them."""
    running = for_inference(codec)
    graphs = running.graphs()
    for file in files:
        write_graph(running, graphs[file], folder / file)
    if isinstance(running, BlockCodec):
        write_gradients(running, folder)
    (folder / TRAINING).write_bytes(safetensors.torch.save(_not_stored(codec, folder)))


def stored_weights(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return the weights that the ONNX files of a model hold under their own names, tuned encoders left out."""
    left_out = (*TUNED_FILES, *GRADIENTS)
    graphs = [onnx.load(path).graph for path in sorted(folder.glob("*.onnx")) if path.name not in left_out]
    return {
        tensor.name.removesuffix(HALF).removeprefix("codec."): onnx.numpy_helper.to_array(tensor).astype(np.float32)
        for graph in graphs
        for tensor in graph.initializer
    }


def _not_stored(codec: Codec, folder: Path) -> dict[str, Tensor]:
    """Return what neither the ONNX files (the exporter drops zeros and transposes some) nor the integer prior tell."""
    stored = stored_weights(folder).keys()
    return {
        name: value.contiguous()
        for name, value in codec.state_dict().items()
        if "log2" in name or "whitening" in name or not (name in stored or name.startswith("prior."))
    }


def calibrate(model: Model, pictures: Iterable[NDArray[np.uint8]]) -> Model:
    """Fit the tables of an exported model to ``pictures`` (H, W, 3) it may learn from, and open it again.

    What occurs is a little narrower than training's Gaussians: rate-distortion optimised quantization sees to it.
    """
    counts = sum(_counts(model, picture, quality) for picture in pictures for quality in CALIBRATION_QUALITIES)
    with np.load(model.folder / PRIOR, allow_pickle=False) as file:
        arrays = dict(file)
    tables = Tables(arrays.pop("frequencies"), arrays.pop("reach"))
    _write_prior(model.folder, arrays, frequency_tables.calibrate(tables, np.asarray(counts)))
    model.manifest.write(model.folder)
    return load_model(model.folder)


def _counts(model: Model, picture: NDArray[np.uint8], quality: int) -> NDArray[np.int64]:
    y = model.transforms.analyse(picture, quality)
    return model.prior.count(y, model.transforms.hyper(y, quality), quality, model.price(quality))


def _write_prior(folder: Path, arrays: Arrays, tables: Tables) -> None:
    everything = arrays | {"frequencies": tables.frequencies, "reach": tables.reach}
    np.savez(folder / PRIOR, allow_pickle=False, **everything)


class _Traced(nn.Module):
    """A graph's function as a module, which is what the exporter takes."""

    def __init__(self, codec: Codec, graph: Graph) -> None:
        super().__init__()
        self.codec, self.function = codec, graph.function

    def forward(self, x: Tensor, mix: Tensor) -> Tensor:
        return self.function(x, mix)


def write_graph(codec: Codec, graph: Graph, path: Path) -> None:
    """Write a graph of ``codec``, which has its layers in the form to run them, as an ONNX file."""
    side = max(2 * graph.multiple, TRACED_SIDE)
    anchors = codec.profile.anchors
    example = torch.zeros(1, graph.channels, side, side), torch.full((1, anchors), 1 / anchors)
    height, width = torch.export.Dim("height", min=1), torch.export.Dim("width", min=1)
    sizes = {2: graph.multiple * height, 3: graph.multiple * width}
    program = torch.onnx.export(
        _Traced(codec, graph).eval(),
        example,
        dynamic_shapes=(sizes, None),
        input_names=["input", "mix"],
        output_names=["output"],
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    onnxscript.optimizer.optimize(program.model, input_size_limit=2**30, output_size_limit=2**30)
    onnx.save(_half_storage(_without_traces(program.model_proto)), path)


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Leave out where in the code everything comes from, which takes 90 kB a file."""
    graph = model.graph
    for described in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del described.metadata_props[:]
    return model


def _half_storage(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large weights as float16, cast to float32 when the session is made: half the size, the same speed."""
    casts, graph = [], model.graph
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < HALVED:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), name + HALF))
        casts.append(onnx.helper.make_node("Cast", [name + HALF], [name], to=onnx.TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    return model
