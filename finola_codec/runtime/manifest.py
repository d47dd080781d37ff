"""``model.json``: what a model folder says of itself, and the hashes that hold it together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from finola_codec.errors import ConfigError, ModelError
from finola_codec.profiles import Profile, from_dict

FORMAT = 3  # the format of model folders; folders of others are refused
MANIFEST, PRIOR = "model.json", "prior.npz"
ENCODER, ENCODER_GRID, HYPER_ENCODER = "encoder.onnx", "encoder_grid.onnx", "hyper_encoder.onnx"
DECODER, DECODER_GRID, GROWTH = "decoder.onnx", "decoder_grid.onnx", "growth.onnx"
GRADIENTS = GRADIENT, GRADIENT_GRID = "decoder_gradient.onnx", "decoder_grid_gradient.onnx"


class Tuned(NamedTuple):
    """The files of an encoder for another metric than PSNR; its linear shortcut is the usual encoder's."""

    trunk: str  # pixels to the features that ENCODER gives beside the shortcut
    grid: str  # stands in the place of ENCODER_GRID


TUNED = {"ssim": Tuned("encoder_trunk_ssim.onnx", "encoder_grid_ssim.onnx")}  # few models have them
DEFAULT_TUNE = "psnr"
Tune = Literal["psnr", "ssim"]
TUNES = (DEFAULT_TUNE, *TUNED)
DECODING = (DECODER, DECODER_GRID, GROWTH, PRIOR)  # the files that decoding depends on
# A model has those of these files that its kind of profile needs.
TUNED_FILES = tuple(file for files in TUNED.values() for file in files)
FILES = (*DECODING, ENCODER, ENCODER_GRID, HYPER_ENCODER, *GRADIENTS, *TUNED_FILES)
ID_BYTES = 4


@dataclass(frozen=True)
class Manifest:
    """Name, profile and proved bounds of a model; its files' hashes and its id are computed when it is written.

    Its files also tell ``tunes``, the metrics that it has an encoder for, and whether it ``refines``: has the
    decoder's gradient, by which vectors can be refined.
    """

    name: str
    profile: Profile
    bounds: Mapping[str, float]
    licence: str = ""  # an SPDX identifier, or whatever else its author says
    tunes: tuple[str, ...] = (DEFAULT_TUNE,)
    refines: bool = False

    def write(self, folder: Path) -> None:
        """Write ``model.json`` beside the files of the model, which must be there already."""
        hashes = _hashes(folder)
        content = {
            "format": FORMAT,
            "name": self.name,
            "licence": self.licence,
            "id": _identity(self.profile, hashes),
            "profile": self.profile.to_dict(),
            "margins": _margins(self.profile),
            "bounds": dict(self.bounds),
            "files": hashes,
        }
        content["sha256"] = _digest(content)
        (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")


def read(folder: Path) -> tuple[Manifest, bytes]:
    """Return the manifest of a folder and the model's id, after every hash has been checked.

    Raises :class:`ModelError` where the folder is not a model, is of another format, or does not match its hashes.
    """
    content = _content(folder)
    try:
        hashes = _hashes(folder)
        if changed := [f for f in FILES if content["files"].get(f) != hashes.get(f)]:
            raise ModelError(f"{folder}: {', '.join(changed)} does not match its hash in {MANIFEST}")
        profile = from_dict(content["profile"])
        if content["id"] != _identity(profile, hashes) or content["margins"] != _margins(profile):
            raise ModelError(f"{folder}: {MANIFEST} contradicts itself")
        tunes = (DEFAULT_TUNE, *(tune for tune, files in TUNED.items() if hashes.keys() >= set(files)))
        refines, licence = hashes.keys() >= set(GRADIENTS), content.get("licence", "")
        manifest = Manifest(content["name"], profile, content["bounds"], licence, tunes, refines)
        return manifest, bytes.fromhex(content["id"])[:ID_BYTES]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise ModelError(f"{folder}: not a readable model: {error}") from error


def claimed_id(folder: Path) -> bytes:
    """Return the id in a manifest. The files are not hashed, which takes longer than decoding a small picture."""
    try:
        return bytes.fromhex(_content(folder)["id"])[:ID_BYTES]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: not a readable model: {error}") from error


def encoding_hash(folder: Path, tune: str) -> str:
    """Return a SHA-256 over what files written for ``tune`` depend on: the manifest without what serves other tunes."""
    content = _content(folder)
    others = {file for other, files in TUNED.items() if other != tune for file in files}
    return _digest(content | {"files": {f: hash for f, hash in content["files"].items() if f not in others}})


def _content(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: not a readable model: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise ModelError(f"{folder}: a model folder of format {found}; this finola-codec reads format {FORMAT}")
    if content.pop("sha256", None) != _digest(content):
        raise ModelError(f"{folder}: {MANIFEST} does not match its own hash")
    return content


def _identity(profile: Profile, hashes: Mapping[str, str]) -> str:
    """SHA-256 over what decoding depends on, so a better encoder leaves the id as it is."""
    return _digest({"profile": profile.decoding(), "files": {f: hashes[f] for f in DECODING if f in hashes}})


def _margins(profile: Profile) -> dict[str, int]:
    return {
        "encoder": profile.encoder_margin,
        "encoder_grid": profile.encoder_grid_margin,
        "decoder_grid": profile.decoder_grid_margin,
        "decoder": profile.decoder_margin,
    }


def _hashes(folder: Path) -> dict[str, str]:
    present = [f for f in FILES if (folder / f).exists()]
    return {f: hashlib.sha256((folder / f).read_bytes()).hexdigest() for f in present}


def _digest(content: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, of JSON with sorted keys and without spaces."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
