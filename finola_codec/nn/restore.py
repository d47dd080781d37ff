"""From a model folder back to a codec that can be trained further: the inverse of :mod:`finola_codec.nn.export`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from finola_codec.errors import ModelError
from finola_codec.nn.blocks import Transposed, two_forms
from finola_codec.nn.export import TRAINING, stored_weights
from finola_codec.nn.model import Codec, build
from finola_codec.runtime.manifest import PRIOR
from finola_codec.runtime.model import load_model


def restore(model: str | Path) -> Codec:
    """Return the codec behind a shipped model, or a model folder, to the precision that it is stored with.

    Raises :class:`ModelError` where the folder lacks what only training needs.
    """
    opened = load_model(model)
    codec = build(opened.profile)
    try:
        apart = load_file(opened.folder / TRAINING)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{opened.folder / TRAINING}: needed to train the model further: {error}") from error
    known, stored = codec.state_dict(), stored_weights(opened.folder).items()
    state = {name: torch.from_numpy(value) for name, value in stored if name in known and name not in apart}
    for name, layer in two_forms(codec):
        weight = f"{name}.weight"
        # Folders of before have some BlockConvs as they are trained; their kernels tell.
        if weight in state and (isinstance(layer, Transposed) or state[weight].shape != layer.weight.shape):
            state[weight] = layer.training_weight(state[weight])
    state |= apart
    missing, _ = codec.load_state_dict(state, strict=False)
    if absent := [name for name in missing if not name.startswith("prior.")]:
        raise ModelError(f"{opened.folder}: the weights {', '.join(absent)} are missing")
    with np.load(opened.folder / PRIOR, allow_pickle=False) as file:
        codec.prior.from_integers(dict(file))
    return codec
