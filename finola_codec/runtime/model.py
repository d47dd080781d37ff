"""A trained model on disk: loaded, checked against its hashes, found by name or by the id in a file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from finola_codec import quality as qualities
from finola_codec.entropy.exact import ExactPrior
from finola_codec.entropy.factorised import ExactFactorised
from finola_codec.entropy.hyperprior import ExactHyperprior
from finola_codec.entropy.tables import Tables
from finola_codec.errors import ModelError
from finola_codec.profiles import BlockProfile, Profile, TileProfile
from finola_codec.runtime import installed
from finola_codec.runtime import manifest as manifests
from finola_codec.runtime.devices import Graph, choose, open_graph
from finola_codec.runtime.manifest import MANIFEST, PRIOR, Manifest
from finola_codec.runtime.transforms import Transforms, transforms_of

DEFAULT_MODEL = "finola-base"


@dataclass(frozen=True)
class Model:
    """A model folder whose hashes have been checked. Its parts are opened when first used.

    ``id`` is what a file says of the model that it was written with: the start of a SHA-256 over what decoding
    depends on. ``threads`` is how many CPU threads the transforms use, 0 for all, and ``device`` what they run on.
    """

    folder: Path
    manifest: Manifest
    id: bytes
    threads: int = 0
    device: str = "cpu"

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def profile(self) -> Profile:
        """The description of its architecture."""
        return self.manifest.profile

    @property
    def tunes(self) -> tuple[str, ...]:
        """The metrics that it has an encoder for."""
        return self.manifest.tunes

    @property
    def refines(self) -> bool:
        """Whether vectors can be refined: whether it has the decoder's gradient."""
        return self.manifest.refines

    def lagrange_multiplier(self, quality: int) -> float:
        """Lambda of a quality of 1..100: the loss is bpp + lambda 255^2 MSE, the mean over three channels."""
        return self.profile.lambdas(qualities.position(quality))

    def price(self, quality: int) -> float:
        """Return the bits that a squared error of one natural unit of the latent is worth at a quality.

        The linear shortcut makes an error in the latent one of the same size, over ``unit``, in the pixels.
        """
        return self.prior.error_weight * self.lagrange_multiplier(quality) * 255**2 / 3 / self.profile.unit**2

    @cached_property
    def prior(self) -> ExactPrior:
        """The exact prior."""
        with np.load(self.folder / PRIOR, allow_pickle=False) as file:
            arrays = dict(file)
        tables = Tables(arrays.pop("frequencies"), arrays.pop("reach"))
        tables.check()
        if isinstance(self.profile, BlockProfile):
            return ExactHyperprior(self.profile.prior, arrays, tables)
        assert isinstance(self.profile, TileProfile)
        return ExactFactorised(arrays, tables, self.profile.depth)

    @cached_property
    def transforms(self) -> Transforms:
        """The transforms between pixels and vectors."""

        def opened(name: str, leads_to_pixels: bool) -> Graph:
            return open_graph(self.folder / name, self.device, self.threads, leads_to_pixels)

        return transforms_of(self.profile, opened)


def load_model(model: str | Path = DEFAULT_MODEL, threads: int = 0, device: str | None = None) -> Model:
    """Open a model by the name of one that is installed, or by its folder.

    ``threads`` is how many CPU threads its transforms may use, 0 for all, and ``device`` what they run on: "cpu",
    "openvino", "cuda", "coreml", "directml" or "auto". Without it, the environment variable FINOLA_DEVICE says so, or
    else it is "auto": OpenVINO where it is installed, the CPU by ONNX Runtime otherwise. A model that has been opened
    already is returned again unless its folder has changed. Raises :class:`ModelError` where there is no such model,
    or a file of it does not match its hash, and :class:`ConfigError` where there is no such device.

    >>> load_model("finola-base").name
    'finola-base'
    """
    known = installed.folders()
    folder = known.get(str(model), Path(model))
    try:
        manifest = (folder / MANIFEST).read_bytes()
    except FileNotFoundError as error:
        names = ", ".join(known) or "none"
        raise ModelError(f"no model {str(model)!r}: it is neither installed ({names}) nor a folder") from error
    except OSError as error:
        raise ModelError(f"{folder}: not a readable model: {error}") from error
    return _open(folder, manifest, threads, choose(device))


@lru_cache(maxsize=8)
def _open(folder: Path, content: bytes, threads: int, device: str) -> Model:
    """Open the model in ``folder``; ``content`` is that of its manifest, which changes with every file of the model."""
    return Model(folder, *manifests.read(folder), threads, device)


def find_model(model_id: bytes, threads: int = 0, device: str | None = None) -> Model:
    """Return the installed model with this id. Raises :class:`ModelError` where there is none."""
    return load_model(installed.find(model_id), threads, device)
