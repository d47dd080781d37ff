"""An encoder of its own for another metric than PSNR, in front of the same prior and decoder.

Its files are those of the model that it was tuned from, in format and in model id: only what is handed to the quantizer
differs.
"""

from __future__ import annotations

from pathlib import Path

import torch

from finola_codec.errors import ConfigError, ModelError
from finola_codec.nn.blocks import for_inference
from finola_codec.nn.export import write_graph
from finola_codec.nn.model import Codec
from finola_codec.nn.restore import restore
from finola_codec.runtime.model import Model, load_model


def train_tuned_only(codec: Codec) -> None:
    """Leave only what a metric has of its own to be trained. Raises :class:`ConfigError` where that is nothing."""
    if not codec.tuned():
        raise ConfigError(f"profile {codec.profile.name}: no part of its encoder can be tuned for another metric")
    codec.requires_grad_(False)
    for part in codec.tuned():
        part.requires_grad_(True)


def add_tuned(codec: Codec, folder: Path, tune: str) -> Model:
    """Add what was tuned of ``codec`` to the model in ``folder``, and open that again.

    Raises :class:`ModelError` where the model is not the one that ``codec`` was tuned from.
    """
    codec = codec.eval().float().cpu()
    model = load_model(folder)
    own = {parameter for part in codec.tuned() for parameter in part.parameters()}
    before = dict(restore(folder).named_parameters())
    for name, parameter in codec.named_parameters():
        if parameter not in own and not (name in before and torch.equal(before[name], parameter)):
            raise ModelError(f"{folder}: is not the model that the run was tuned from: {name} differs")
    running = for_inference(codec)
    for file, graph in running.tuned_graphs(tune).items():
        write_graph(running, graph, folder / file)
    model.manifest.write(folder)
    return load_model(folder)
