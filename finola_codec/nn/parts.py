"""Parts of a model that are trained alone, while all else stays as it is.

An encoder for another metric than PSNR writes files of the model that it was tuned from, in format and in model id:
only what is handed to the quantizer differs. A decoder makes another model, with encoders and prior of the first.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from finola_codec.errors import ConfigError, ModelError
from finola_codec.nn.blocks import for_inference
from finola_codec.nn.export import write_graph, write_graphs
from finola_codec.nn.model import Codec
from finola_codec.nn.restore import restore
from finola_codec.runtime.manifest import DECODING, Manifest
from finola_codec.runtime.model import Model, load_model

SHORTCUTS = ("lapped", "shortcut")  # they make nearly all of a picture


def train_tuned_only(codec: Codec) -> None:
    """Leave only what a metric has of its own to be trained. Raises :class:`ConfigError` where that is nothing."""
    if not codec.tuned():
        raise ConfigError(f"profile {codec.profile.name}: no part of its encoder can be tuned for another metric")
    _train_only(codec, _tuned(codec))


def train_decoder_only(codec: Codec) -> None:
    """Leave only the decoder to be trained, without its linear shortcut, which the first of Adam's steps would harm."""
    _train_only(codec, _decoding(codec))


def add_tuned(codec: Codec, folder: Path, tune: str) -> Model:
    """Add what was tuned of ``codec`` to the model in ``folder``, and open that again.

    Raises :class:`ModelError` where the model is not the one that ``codec`` was tuned from.
    """
    codec = codec.eval().float().cpu()
    model = load_model(folder)
    _check_rest(codec, folder, _tuned(codec))
    running = for_inference(codec)
    for file, graph in running.tuned_graphs(tune).items():
        write_graph(running, graph, folder / file)
    model.manifest.write(folder)
    return load_model(folder)


def replace_decoder(codec: Codec, folder: Path, name: str, licence: str) -> Model:
    """Put the decoder of ``codec`` into the model in ``folder``, and open that again as the model ``name``.

    Its encoders and its prior keep every byte. Raises :class:`ModelError` where they are not those of ``codec``.
    """
    codec = codec.eval().float().cpu()
    bounds = load_model(folder).manifest.bounds
    _check_rest(codec, folder, _decoding(codec))
    write_graphs(codec, folder, [file for file in codec.graphs() if file in DECODING])
    Manifest(name, codec.profile, bounds, licence).write(folder)
    return load_model(folder)


def _tuned(codec: Codec) -> set[Tensor]:
    return {parameter for part in codec.tuned() for parameter in part.parameters()}


def _decoding(codec: Codec) -> set[Tensor]:
    named = codec.decoder.named_parameters()
    return {parameter for name, parameter in named if not name.startswith(SHORTCUTS)}


def _train_only(codec: Codec, own: set[Tensor]) -> None:
    codec.requires_grad_(False)
    for parameter in own:
        parameter.requires_grad_(True)


def _check_rest(codec: Codec, folder: Path, own: set[Tensor]) -> None:
    """Raise unless all that is not ``own`` is as the model in ``folder`` has it."""
    before = dict(restore(folder).named_parameters())
    for name, parameter in codec.named_parameters():
        if parameter not in own and not (name in before and torch.equal(before[name], parameter)):
            raise ModelError(f"{folder}: is not the model that the run started from: {name} differs")
