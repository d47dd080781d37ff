"""A folder that any static web server serves: the JavaScript package, models, what both need of npm, and a page."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from finola_codec import web_weights
from finola_codec.entropy.fixed import to_real
from finola_codec.errors import ConfigError
from finola_codec.quality import mix
from finola_codec.runtime.devices import channels_first
from finola_codec.runtime.manifest import (
    DECODER,
    DECODER_GRID,
    ENCODER,
    ENCODER_GRID,
    GROWTH,
    HYPER_ENCODER,
    MANIFEST,
    PRIOR,
)
from finola_codec.runtime.model import Model
from finola_codec.web_weights import Floats, Sample

LEFT_OUT = ("node_modules", "tests", "tools", "package-lock.json", "README.md")
SAMPLE = "sample.webp"  # the picture that the page offers to try, on which weights are measured, too
SAMPLE_SIDE = 128  # pixels of it that a codec of blocks is measured on; a codec of tiles takes one tile
SAMPLE_QUALITIES = (40, 90)
GZIP = 16 + zlib.MAX_WBITS
MEMORY_LEVELS = (8, 5)  # of zlib: a low one changes Huffman codes more often, which suits weights


class _Dependency(NamedTuple):
    """A package of npm, the folder in it that files come from, and the folder of the page that they go to."""

    name: str
    source: str
    files: tuple[str, ...]
    target: str


INDEX = "models/index.json"  # of a folder that was written: the models in it
DEPENDENCIES = (
    _Dependency(
        "onnxruntime-web",
        "dist",
        (
            "ort.wasm.bundle.min.mjs",
            "ort-wasm-simd-threaded.wasm",
            "ort.webgpu.bundle.min.mjs",
            "ort-wasm-simd-threaded.asyncify.wasm",
        ),
        "onnxruntime",
    ),
    _Dependency("@jsquash/avif", "codec/enc", ("avif_enc.js", "avif_enc.wasm"), "avif"),
)


def write(folder: Path, models: Sequence[Model], packages: Path | None = None) -> None:
    """Write everything that a page needs into ``folder``, with ``models`` in a form that is small to fetch.

    ``packages`` is a folder ``node_modules`` with what is needed of npm; without it npm fetches that. Raises
    :class:`ConfigError` where there is neither.
    """
    with tempfile.TemporaryDirectory() as scratch:  # nothing is written where something is missing
        fetched = Path(scratch, "fetched")
        for dependency in DEPENDENCIES:
            _copy_dependency(dependency, packages, Path(scratch, dependency.target), fetched / dependency.target)
        shutil.copytree(_package(), folder, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True)
        shutil.copytree(fetched, folder, dirs_exist_ok=True)
    for model in models:
        _write_model(model, folder / "models" / model.name)
    index = [{"name": model.name, "id": model.id.hex()} for model in models]
    (folder / INDEX).write_text(json.dumps({"models": index}, indent=1) + "\n")


def _package() -> Path:
    """Return the JavaScript package in the wheel, or in the checkout that this package is imported from."""
    here = Path(__file__).parent
    for root in (here / "web_package", here.parent / "web"):
        if root.is_dir():
            return root
    raise ConfigError("the JavaScript package is not installed with this finola-codec")


def _copy_dependency(dependency: _Dependency, packages: Path | None, scratch: Path, target: Path) -> None:
    packages = packages or _package() / "node_modules"
    root = packages / dependency.name
    if not root.is_dir():
        root = _fetched(dependency.name, scratch)
    target.mkdir(parents=True, exist_ok=True)
    for name in dependency.files:
        source = root / dependency.source / name
        if not source.is_file():
            raise ConfigError(f"{root}: there is no {dependency.source}/{name} in it")
        shutil.copyfile(source, target / name)


def _fetched(name: str, scratch: Path) -> Path:
    """Have npm fetch the version of a package that ``package.json`` names, into a new folder ``scratch``."""
    scratch.mkdir(parents=True)
    content = json.loads((_package() / "package.json").read_text())
    version = (content["dependencies"] | content["devDependencies"])[name]
    command = ["npm", "pack", "--silent", f"{name}@{version}"]
    try:
        subprocess.run(command, cwd=scratch, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ConfigError(f"npm is not installed: fetch {name} {version} and give --packages NODE_MODULES") from error
    except subprocess.CalledProcessError as error:
        raise ConfigError(f"npm cannot fetch {name} {version}: {error.stderr.strip()}") from error
    with tarfile.open(next(scratch.glob("*.tgz"))) as archive:
        archive.extractall(scratch, filter="data")
    return scratch / "package"


def _write_model(model: Model, folder: Path) -> None:
    """Write the files of a model, compressed, and a manifest that says in ``web`` what stands for what.

    What decodes to pixels has small integers for weights, and its own hash. A page fetches the encoders only when it
    encodes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = json.loads((model.folder / MANIFEST).read_text())
    graphs = [name for name in (GROWTH, DECODER_GRID, DECODER) if (model.folder / name).exists()]
    compacted = web_weights.compact([model.folder / name for name in graphs], _samples(model))
    files = dict(zip(graphs, compacted, strict=True))
    for name in (ENCODER, ENCODER_GRID, HYPER_ENCODER, PRIOR):
        if (model.folder / name).exists():
            files[name] = (model.folder / name).read_bytes()
    content["web"] = {name: _write_variant(folder, name, data) for name, data in files.items()}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")


def _samples(model: Model) -> list[Sample]:
    """Return what the decoder is given for the middle of the sample picture, at several qualities."""
    with Image.open(_package() / SAMPLE) as image:
        whole = np.asarray(image.convert("RGB"))
    side = max(SAMPLE_SIDE, model.profile.block)
    top, left = ((length - side) // 2 for length in whole.shape[:2])
    pixels = whole[top : top + side, left : left + side]
    wanted = channels_first(pixels.astype(np.float32) / np.float32(255) - np.float32(0.5))
    return [
        Sample(channels_first(_coded(model, pixels, quality)), mix(quality, model.profile.anchors), wanted)
        for quality in SAMPLE_QUALITIES
    ]


def _coded(model: Model, pixels: np.ndarray, quality: int) -> Floats:
    y = model.transforms.analyse(pixels, quality)
    z = model.transforms.hyper(y, quality)
    return to_real(model.prior.encode(y, z, quality, model.price(quality)).y)


def _write_variant(folder: Path, name: str, data: bytes) -> Mapping[str, Any]:
    encoding = ["gzip"]
    if name == PRIOR:
        # The bytes at even places first: the upper halves of 16-bit weights are nearly all alike, and compress apart.
        data, encoding = data[::2] + data[1::2], ["gzip", "shuffle"]
    packed = min((_compressed(data, level) for level in MEMORY_LEVELS), key=len)
    (folder / f"{name}.packed").write_bytes(packed)
    return {"file": f"{name}.packed", "sha256": hashlib.sha256(packed).hexdigest(), "encoding": encoding}


def _compressed(data: bytes, memory: int) -> bytes:
    """Return a gzip file, which browsers inflate whatever the server can do. It says nothing of when it was made.

    What is filtered has few repetitions: there weights come out smaller than at a higher level, in a sixth of the time.
    """
    compressor = zlib.compressobj(6, zlib.DEFLATED, GZIP, memory, zlib.Z_FILTERED)
    return compressor.compress(data) + compressor.flush()
