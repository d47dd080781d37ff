"""From a model folder back to a codec that can be trained further: the inverse of :mod:`finola_codec.nn.export`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from finola_codec.entropy.fixed import ACTIVATION_BITS, WEIGHT_BITS
from finola_codec.entropy.hyperprior import DIRECTIONS
from finola_codec.errors import ModelError
from finola_codec.nn.export import TRAINING, stored_weights
from finola_codec.nn.model import BlockCodec, Codec, build
from finola_codec.nn.profiles import from_dict
from finola_codec.runtime.model import PRIOR, load_model


def restore(model: str | Path) -> Codec:
    """The codec behind a shipped model, or a model folder, to the precision that it is stored with.

    Raises :class:`ModelError` where the folder lacks what only training needs.
    """
    opened = load_model(model)
    codec = build(from_dict(opened.manifest["profile"]))
    try:
        state = load_file(opened.folder / TRAINING)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{opened.folder / TRAINING}: needed to train the model further: {error}") from error
    known = codec.state_dict()
    state |= {k: torch.from_numpy(v) for k, v in stored_weights(opened.folder).items() if k in known and k not in state}
    if isinstance(codec, BlockCodec):
        state |= _hyperprior(codec, opened.folder / PRIOR, state["prior.whitening"])
    codec.load_state_dict(state)
    return codec


def _hyperprior(codec: BlockCodec, path: Path, whitening: Tensor) -> dict[str, Tensor]:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    state = {}

    def real(name: str, bits: int) -> Tensor:
        return torch.from_numpy(arrays[name] * 2.0**-bits).float()

    for name in codec.prior.spec.shapes():
        weights = real(name, WEIGHT_BITS)
        if name.endswith("_context"):
            weights = weights / whitening[: weights.shape[1], None, None]
        state[f"prior.weights.{name}"] = weights
        state[f"prior.weights.{name}_bias"] = real(f"{name}_bias", ACTIVATION_BITS)
    for name in codec.prior.shifts:
        state[f"prior.shifts.{name}.rows"] = real(name, ACTIVATION_BITS)
    for direction in DIRECTIONS:
        state[f"prior.finola.{direction}"] = real(f"finola_{direction}", WEIGHT_BITS)
    return state
