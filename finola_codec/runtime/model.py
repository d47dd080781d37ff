"""A trained model on disk: loaded, checked against its hashes, found by name or by the id in a file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from finola_codec.entropy.coding import QUALITIES, ExactPrior
from finola_codec.entropy.factorised import FactorisedPrior
from finola_codec.entropy.hyperprior import HyperPrior
from finola_codec.entropy.prior import PriorSpec
from finola_codec.entropy.tables import Tables
from finola_codec.errors import ModelError
from finola_codec.runtime.pixels import Paths, Pixels

MANIFEST, PRIOR = "model.json", "prior.npz"
ENCODER, HYPER_ENCODER, DECODER = "encoder.onnx", "hyper_encoder.onnx", "decoder.onnx"
GROWTH = "growth.onnx"
FILES = (DECODER, ENCODER, HYPER_ENCODER, GROWTH, PRIOR)  # a hyper encoder under a hyperprior, growth without one
DEFAULT_MODEL = "finola-base"
ID_BYTES = 4


@dataclass(frozen=True)
class Model:
    """A model folder whose hashes have been checked. Its parts are opened when first used."""

    folder: Path
    manifest: dict[str, Any]
    threads: int = 0

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest["name"]

    @property
    def id(self) -> bytes:
        """What a file says which model it was written with: the start of a SHA-256 over the model's files."""
        return bytes.fromhex(self.manifest["id"])[:ID_BYTES]

    @property
    def block(self) -> int:
        """Pixels a side that one C-vector covers."""
        return self.manifest["profile"]["block"]

    def position(self, quality: int) -> float:
        """Where a quality of 1..100 lies in the range of the model, from 0 to 1."""
        return (quality - 1) / (QUALITIES - 1)

    def lagrangian(self, quality: int) -> float:
        """Lambda of a quality: the loss is bpp + lambda 255^2 MSE, the mean over three channels."""
        low, high = self.manifest["profile"]["lambda_min"], self.manifest["profile"]["lambda_max"]
        return low * (high / low) ** self.position(quality)

    def price(self, quality: int) -> float:
        """The bits that a squared error of one natural unit of the latent is worth at a quality.

        The linear shortcut makes an error in the latent one of the same size, over ``unit``, in the pixels.
        """
        unit = self.manifest["profile"]["unit"]
        return self.prior.error_weight * self.lagrangian(quality) * 255**2 / 3 / unit**2

    @cached_property
    def prior(self) -> ExactPrior:
        """The exact prior."""
        with np.load(self.folder / PRIOR, allow_pickle=False) as file:
            arrays = dict(file)
        tables = Tables(arrays.pop("frequencies"), arrays.pop("reach"))
        tables.check()
        profile = self.manifest["profile"]
        if "groups" not in profile:
            slots = (profile["block"] // profile["stride"]) ** 2
            return FactorisedPrior(arrays, tables, profile["channels"] // slots)
        return HyperPrior(PriorSpec.of(profile), arrays, tables)

    @cached_property
    def pixels(self) -> Pixels:
        """The transforms between pixels and vectors."""
        profile = self.manifest["profile"]
        hyperprior = "hyper_patch" in profile
        paths = Paths(
            encoder=self.folder / ENCODER,
            hyper_encoder=self.folder / HYPER_ENCODER if hyperprior else None,
            growth=None if hyperprior else self.folder / GROWTH,
            decoder=self.folder / DECODER,
        )
        sizes = profile["block"], profile.get("hyper_patch", 1), profile["stride"], profile["anchors"]
        return Pixels(paths, *sizes, self.threads)


def identify(folder: Path) -> dict[str, Any]:
    """The SHA-256 of each file of a model, and the model's id, that of all of them together."""
    present = [name for name in FILES if name not in (HYPER_ENCODER, GROWTH) or (folder / name).exists()]
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in present}
    return {"files": hashes, "id": hashlib.sha256("".join(hashes.values()).encode()).hexdigest()}


@lru_cache(maxsize=8)
def load_model(model: str | Path = DEFAULT_MODEL, threads: int = 0) -> Model:
    """Open a model by the name of one that is shipped, or by its folder.

    ``threads`` is how many CPU threads its transforms may use, 0 for all. Raises :class:`ModelError` where
    there is no such model, or a file of it does not match its hash.

    >>> load_model("finola-base").name
    'finola-base'
    """
    folder = _shipped().get(str(model), Path(model))
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        found = identify(folder)
        if manifest["files"] != found["files"] or manifest["id"] != found["id"]:
            changed = [name for name in FILES if manifest["files"].get(name) != found["files"].get(name)]
            raise ModelError(f"{folder}: {', '.join(changed) or MANIFEST} does not match its hash in {MANIFEST}")
    except FileNotFoundError as error:
        known = ", ".join(_shipped()) or "none"
        raise ModelError(f"no model {str(model)!r}: not one that is shipped ({known}), nor a folder") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder}: not a readable model: {error}") from error
    return Model(folder, manifest, threads)


def find_model(model_id: bytes, threads: int = 0) -> Model:
    """The shipped model with this id. Raises :class:`ModelError` where there is none."""
    ids = {name: _claimed_id(folder) for name, folder in _shipped().items()}
    for name, claimed in ids.items():
        if claimed == model_id:
            return load_model(name, threads)
    known = ", ".join(f"{name} ({claimed.hex()})" for name, claimed in ids.items())
    raise ModelError(f"written with the model {model_id.hex()}, which is not here; here are {known or 'none'}")


def _claimed_id(folder: Path) -> bytes:
    """The id in a manifest: hashing every model's files to find one of them would take longer than decoding."""
    try:
        return bytes.fromhex(json.loads((folder / MANIFEST).read_text())["id"])[:ID_BYTES]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: not a readable model: {error}") from error


def _shipped() -> dict[str, Path]:
    """The models in the wheel, or in the checkout that the package is imported from."""
    package = Path(__file__).parents[1]
    for root in (package / "models", package.parent / "models"):
        if root.is_dir():
            return {p.parent.name: p.parent for p in sorted(root.glob(f"*/{MANIFEST}"))}
    return {}
