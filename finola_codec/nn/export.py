"""From a trained codec to a model folder: ONNX transforms, the exact integer prior, ``model.json``, a model card."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finola_codec.entropy import tables as frequency_tables
from finola_codec.entropy.coding import QUALITIES, ExactPrior, interpolation
from finola_codec.entropy.factorised import FactorisedPrior as ExactFactorisedPrior
from finola_codec.entropy.fixed import ACTIVATION_BITS, ONE, WEIGHT_BITS, quantize
from finola_codec.entropy.hyperprior import DIRECTIONS, HyperPrior
from finola_codec.entropy.scales import BINS, BINS_PER_OCTAVE, LOG2_MIN
from finola_codec.entropy.tables import Tables
from finola_codec.nn.blocks import QualityTable
from finola_codec.nn.factorised import FactorisedPrior
from finola_codec.nn.model import BlockCodec, Codec, TileCodec
from finola_codec.nn.prior import Prior
from finola_codec.runtime.model import (
    DECODER,
    ENCODER,
    GROWTH,
    HYPER_ENCODER,
    MANIFEST,
    PRIOR,
    Model,
    identify,
    load_model,
)

TRAINING = "training.safetensors"  # what continuing to train needs beyond what running does
HALF = "_half"  # ends the names of weights stored as float16
CALIBRATION_QUALITIES = (10, 30, 50, 70, 90)

Integers = NDArray[np.integer]


class _Analysis(nn.Module):
    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.encoder = codec.encoder

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return self.encoder(x, weights)


class _HyperAnalysis(nn.Module):
    def __init__(self, codec: BlockCodec) -> None:
        super().__init__()
        self.prior, self.hyper_encoder = codec.prior, codec.hyper_encoder

    def forward(self, y: Tensor, weights: Tensor) -> Tensor:
        return self.hyper_encoder(self.prior.whiten(y), weights)


class _Synthesis(nn.Module):
    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, y: Tensor, weights: Tensor) -> Tensor:
        return self.codec.synthesise(y, weights)


class _Growth(nn.Module):
    """The part of a tile codec's synthesis that takes each tile by itself."""

    def __init__(self, codec: TileCodec) -> None:
        super().__init__()
        self.decoder = codec.decoder

    def forward(self, y: Tensor, weights: Tensor) -> Tensor:
        return torch.cat(self.decoder.to_map(y), dim=1)


class _TileSynthesis(nn.Module):
    """The other part, which looks across tiles."""

    def __init__(self, codec: TileCodec) -> None:
        super().__init__()
        self.decoder, self.depth = codec.decoder, codec.profile.depth

    def forward(self, grown: Tensor, weights: Tensor) -> Tensor:
        return self.decoder.to_pixels(grown[:, : self.depth], grown[:, self.depth :], weights)


def export(codec: Codec, folder: Path, name: str, card: str) -> Model:
    """Write ``codec`` as the model ``name`` into ``folder`` and open it again.

    ``card`` is the text of its MODEL_CARD.md. Raises :class:`ModelError` where the bound of a layer of the
    prior is not provable.
    """
    codec = codec.eval().float().cpu()
    profile = codec.profile
    folder.mkdir(parents=True, exist_ok=True)
    tables = frequency_tables.build()
    arrays, prior = _exact(codec, tables)
    _write_prior(folder, arrays, tables)

    # Some sizes for the exporter to trace; every size is dynamic.
    block, side = profile.block, 8 if profile.block < 64 else 2
    weights = torch.full((1, profile.anchors), 1 / profile.anchors)
    vectors = torch.zeros(1, profile.channels, side, side)
    _write_onnx(_Analysis(codec), (torch.zeros(1, 3, side * block, side * block), weights), folder / ENCODER, block)
    if isinstance(codec, BlockCodec):
        _write_onnx(_HyperAnalysis(codec), (vectors, weights), folder / HYPER_ENCODER, codec.profile.hyper_patch)
        _write_onnx(_Synthesis(codec), (vectors, weights), folder / DECODER, 1)
    elif isinstance(codec, TileCodec):
        grown = torch.zeros(1, codec.profile.depth + codec.profile.decoder_widths[0], 8, 8)
        _write_onnx(_Growth(codec), (vectors, weights), folder / GROWTH, 1)
        _write_onnx(_TileSynthesis(codec), (grown, weights), folder / DECODER, 1)

    (folder / TRAINING).write_bytes(safetensors.torch.save(_not_stored(codec, folder)))
    (folder / "MODEL_CARD.md").write_text(card)
    _write_manifest(folder, {"format": 1, "name": name, "profile": profile.to_dict(), "bounds": prior.bounds()})
    return load_model(folder)


def stored_weights(folder: Path) -> dict[str, NDArray[np.float32]]:
    """The weights that the ONNX files of a model hold under their own names."""
    graphs = [onnx.load(path).graph for path in sorted(folder.glob("*.onnx"))]
    return {
        tensor.name.removesuffix(HALF).removeprefix("codec."): onnx.numpy_helper.to_array(tensor).astype(np.float32)
        for graph in graphs
        for tensor in graph.initializer
    }


def _not_stored(codec: Codec, folder: Path) -> dict[str, Tensor]:
    """What neither the ONNX files (the exporter drops zeros and transposes some) nor the integer prior tell."""
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
    _write_manifest(model.folder, model.manifest)
    load_model.cache_clear()
    return load_model(model.folder)


def _counts(model: Model, picture: NDArray[np.uint8], quality: int) -> NDArray[np.int64]:
    y = model.pixels.analyse(picture, quality)
    return model.prior.count(y, model.pixels.hyper(y, quality), quality, model.price(quality))


def _write_prior(folder: Path, arrays: dict[str, Integers], tables: Tables) -> None:
    everything = arrays | {"frequencies": tables.frequencies, "reach": tables.reach}
    np.savez(folder / PRIOR, allow_pickle=False, **everything)


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest | identify(folder), indent=1) + "\n")


def _exact(codec: Codec, tables: Tables) -> tuple[dict[str, Integers], ExactPrior]:
    if isinstance(codec, TileCodec):
        arrays = integer_factorised_prior(codec.prior)
        return arrays, ExactFactorisedPrior(arrays, tables, codec.profile.depth)
    assert isinstance(codec, BlockCodec)
    arrays = integer_prior(codec.prior)
    return arrays, HyperPrior(codec.profile.prior, arrays, tables)


def integer_factorised_prior(prior: FactorisedPrior) -> dict[str, Integers]:
    """The integers of :class:`finola_codec.entropy.factorised.FactorisedPrior`, rounded from the trained tables."""
    return {"step": _compact(_steps(prior.log2_step)), "bin": _compact(_bins(prior.log2_scale))}


def integer_prior(prior: Prior) -> dict[str, Integers]:
    """The integers of :class:`finola_codec.entropy.hyperprior.HyperPrior`, rounded from the trained weights."""
    arrays = {}
    for name in prior.spec.shapes():
        weights = _numpy(prior.weights[name])
        if name.endswith("_context"):  # what the layer reads is whitened in training; here its weights are
            weights = weights * _numpy(prior.whitening)[: weights.shape[1], None, None]
        arrays[name] = quantize(weights, WEIGHT_BITS)
        arrays[f"{name}_bias"] = quantize(_numpy(prior.weights[f"{name}_bias"]), ACTIVATION_BITS)
    for name, table in prior.shifts.items():
        arrays[name] = quantize(_numpy(table.rows), ACTIVATION_BITS)
    for direction in DIRECTIONS:
        arrays[f"finola_{direction}"] = quantize(_numpy(getattr(prior.finola, direction)), WEIGHT_BITS)

    arrays["step"] = _steps(prior.log2_step)
    arrays["log2_step"] = quantize(np.log2(arrays["step"] / ONE), ACTIVATION_BITS)
    arrays["hyper_step"] = _steps(prior.hyper_log2_step)
    arrays["hyper_bin"] = _bins(prior.hyper_log2_scale)
    return {name: _compact(a) for name, a in arrays.items()}


def _steps(log2_step: QualityTable) -> NDArray[np.float64]:
    return np.maximum(1, quantize(2.0 ** _by_quality(log2_step), ACTIVATION_BITS))


def _bins(log2_scale: QualityTable) -> NDArray[np.float64]:
    return np.clip(np.rint((_by_quality(log2_scale) - LOG2_MIN) * BINS_PER_OCTAVE), 0, BINS - 1)


def _by_quality(table: QualityTable) -> NDArray[np.float64]:
    """The rows of a table at each of the 100 qualities."""
    rows = _numpy(table.rows)
    weights = np.stack([interpolation(q, len(rows)) for q in range(1, QUALITIES + 1)])
    return weights / 2.0**WEIGHT_BITS @ rows


def _numpy(tensor: Tensor | nn.Module) -> NDArray[np.float64]:
    assert isinstance(tensor, Tensor)
    return tensor.detach().cpu().double().numpy()


def _compact(array: NDArray[np.float64]) -> Integers:
    small = np.abs(array).max(initial=0) < 2**15
    return array.astype(np.int16 if small else np.int32)


def _write_onnx(module: nn.Module, example: tuple[Tensor, Tensor], path: Path, multiple: int) -> None:
    """``multiple`` is what the sides of the input are multiples of."""
    height, width = torch.export.Dim("height", min=1), torch.export.Dim("width", min=1)
    sizes = {2: multiple * height, 3: multiple * width}
    program = torch.onnx.export(
        module.eval(),
        example,
        dynamic_shapes=(sizes, None),
        input_names=["input", "weights"],
        output_names=["output"],
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    onnx.save(_half_storage(program.model_proto), path)


def _half_storage(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store large weights as float16, cast to float32 when the session is made: half the size, the same speed."""
    casts, graph = [], model.graph
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 256:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), name + HALF))
        casts.append(onnx.helper.make_node("Cast", [name + HALF], [name], to=onnx.TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
    return model
