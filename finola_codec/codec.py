"""Picture to bytes and back: the only place where the stages meet."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finola_codec import container, images, targets
from finola_codec.container import ALPHA, CHECKS, HYPER, LAYER, VECTORS, Header
from finola_codec.entropy.exact import Payloads, Price
from finola_codec.entropy.fixed import Integers
from finola_codec.errors import ConfigError, FormatError, ModelError
from finola_codec.images import Planes
from finola_codec.layer import Choice, Learned, Search, fine_weight
from finola_codec.layer.palette import Mask
from finola_codec.masking import visibility
from finola_codec.metadata import Metadata
from finola_codec.quality import QUALITIES
from finola_codec.runtime import installed
from finola_codec.runtime.manifest import DEFAULT_TUNE, TUNES, Tune
from finola_codec.runtime.model import DEFAULT_MODEL, Model, find_model, load_model
from finola_codec.runtime.refine import SHORTEST, refine

REFINEMENTS = {5: SHORTEST, 7: 5, 8: 8, 9: 13, 10: 40}  # the iterations of gradient descent at each of these efforts
EFFORTS, DEFAULT_EFFORT, LAYER_EFFORT = (0, 1, 3, *REFINEMENTS), 5, 3
LAYERS = ("auto", "off", "only")
SSIM_PRICE = 5  # what an error counts for SSIM where contrast is average, relative to what it counts for PSNR


def encode(
    image: Image.Image,
    quality: int = 50,
    *,
    model: Model | str | Path = DEFAULT_MODEL,
    effort: int = DEFAULT_EFFORT,
    target_bpp: float | None = None,
    target_bytes: int | None = None,
    target_psnr: float | None = None,
    lossless: bool = False,
    layer: Literal["auto", "off", "only"] = "auto",
    tune: Tune = "psnr",
    strip: bool = False,
    max_pixels: int | None = container.DEFAULT_MAX_PIXELS,
) -> bytes:
    """Encode a picture as the bytes of a .fin file.

    ``quality`` runs from 1 to 100. Instead of it one target may be given: ``target_bpp`` (bits per pixel) or
    ``target_bytes`` for the best quality that does not exceed it, ``target_psnr`` (dB, RGB) for the lowest
    quality that reaches it. Bytes are taken to rise with quality; with a layer, a higher one may fit sometimes.

    ``effort`` 0 rounds every number. 1 chooses it by what it costs and brings. 3 also looks for a layer. From 5 on the
    vectors are refined by gradient descent, in 3, 5, 8, 13 and 40 iterations at 5, 7, 8, 9 and 10, if the model has
    the decoder's gradient (a codec of blocks does).

    A ``lossless`` file has every pixel exactly, as a layer of lossless WebP and no learned part: neither quality nor
    target applies. Text, charts and other graphics may get such a layer over a part of the picture, or over all of
    it, with colours merged as far as the quality pays for: where that is worth it (``layer`` "auto"), never ("off").
    "only" is the same as ``lossless``.

    ``tune`` is the metric that the bits are spent for: PSNR, or "ssim" for MS-SSIM, which is nearer to what eyes see
    and loses PSNR. Any decoder of the model reads either. A picture with a side below 11 pixels, too small for
    MS-SSIM, is refined for PSNR.

    With ``strip``, EXIF, XMP and resolution are left out; the ICC profile, which says what the colours are, is not.

    Raises :class:`ConfigError` for a quality, effort, layer or tune out of range, for a ``tune`` that the model has no
    encoder for, for two targets, and for a target that makes no sense; :class:`TargetError` where no quality meets the
    target; :class:`LimitError` for a picture that :func:`decode` would refuse under the same ``max_pixels``, and for
    metadata above 16 MiB; :class:`ImageError` for a picture without pixels, and for a lossless one with a side above
    16,383; :class:`ModelError` for an unknown model.

    >>> import skimage.data
    >>> cat = Image.fromarray(skimage.data.cat())
    >>> data = encode(cat, quality=30)
    >>> decode(data).size == cat.size
    True
    """
    _check_whole("quality", quality, 1, QUALITIES)
    if effort not in EFFORTS:
        raise ConfigError(f"effort {effort!r} is none of {', '.join(map(str, EFFORTS))}")
    if layer not in LAYERS:
        raise ConfigError(f"layer {layer!r} is not one of {', '.join(LAYERS)}")
    _check_targets(target_bpp=target_bpp, target_bytes=target_bytes, target_psnr=target_psnr)
    model = model if isinstance(model, Model) else load_model(model)
    _check_tune(tune, model)
    planes = images.to_planes(image)
    _check_limits(planes.pixels.shape[1], planes.pixels.shape[0], model, max_pixels)
    del image  # frees the picture's memory where the caller keeps no reference
    extras = _extras(planes, strip)
    if lossless or layer == "only":
        return _lossless(model, planes, extras, effort)
    search = Search(planes.pixels, model.profile.block) if layer == "auto" and effort >= LAYER_EFFORT else None

    def attempt(quality: int) -> _Encoded:
        return _encode(model, planes, extras, quality, effort, tune, search)

    pixels = planes.pixels.shape[0] * planes.pixels.shape[1]
    if target_bpp is not None:
        target_bytes = int(min(target_bpp * pixels / 8, sys.maxsize))
    if target_bytes is not None:
        return targets.largest_within(lambda q: attempt(q).data, target_bytes)
    if target_psnr is not None:
        return targets.first_reaching(lambda q: _with_psnr(planes, attempt(q)), target_psnr)
    return attempt(quality).data


def decode(
    data: bytes,
    *,
    model: Model | str | Path | None = None,
    max_pixels: int | None = container.DEFAULT_MAX_PIXELS,
    threads: int = 0,
    device: str | None = None,
) -> Image.Image:
    """Decode the bytes of a .fin file. The picture's ``info`` has its metadata.

    Without a ``model``, the one that the file names is looked for among those that are installed. ``threads`` is how
    many CPU threads the transforms of a model that is opened here use, 0 for all, and ``device`` what they run on, as
    :func:`load_model` has it; a :class:`Model` has its own.

    Raises :class:`FormatError` for damaged or foreign data, :class:`LimitError` for more than ``max_pixels``,
    :class:`ModelError` where the model is missing or is not the one that the file was written with,
    :class:`ConfigError` for a ``device`` that is not there.
    """
    header, chunks = container.unpack(data, max_pixels)
    if HYPER not in chunks:
        return _picture(header, chunks, _layer_alone(header, chunks))
    model = _model_of(header, model, threads, device)
    grid = _grid(header, model, max_pixels)
    return _picture(header, chunks, _synthesised(header, model, _integers(header, chunks, model, grid)))


def salvage(
    data: bytes,
    *,
    model: Model | str | Path | None = None,
    max_pixels: int | None = container.DEFAULT_MAX_PIXELS,
    threads: int = 0,
    device: str | None = None,
) -> tuple[Image.Image, list[str]]:
    """Decode what is intact of a damaged .fin file, and say what is missing.

    The picture of a whole file comes with an empty list. Missing vectors are replaced by the prior's means, and a
    missing alpha plane by an opaque one. Raises :class:`FormatError` where neither the hyper vectors nor a layer are
    intact. A missing model, a wrong device and too many pixels raise what they raise in :func:`decode`.
    """
    header, chunks, problems = container.salvage(data, max_pixels)
    if HYPER not in chunks:
        return _picture(header, chunks, _layer_alone(header, chunks)), problems
    model = _model_of(header, model, threads, device)
    y, problem = _recovered(header, chunks, model, _grid(header, model, max_pixels))
    return _picture(header, chunks, _synthesised(header, model, y)), problems + ([problem] if problem else [])


@dataclass(frozen=True)
class Info:
    """What a .fin file says of itself."""

    width: int  # pixels
    height: int  # pixels
    mode: str  # RGB, L, RGBA or LA
    quality: int  # 1..100
    model: str | None  # name of the model, None where it is not installed
    model_id: str  # 8 hexadecimal digits
    bytes: int
    bpp: float  # bits per pixel of the whole file
    chunks: dict[str, int]  # bytes of each chunk's payload, by its name


def info(data: bytes) -> Info:
    """Return what a .fin file says of itself, without decoding it. Raises :class:`FormatError` as :func:`decode` does.

    >>> found = info(encode(Image.new("L", (40, 30)), quality=20))
    >>> found.width, found.height, found.mode, found.quality, found.model
    (40, 30, 'L', 20, 'finola-base')
    """
    header, chunks = container.unpack(data, max_pixels=None)
    try:
        name = installed.find(header.model_id).name  # the model itself need not open
    except ModelError:
        name = None
    return Info(
        header.width,
        header.height,
        header.mode,
        header.quality,
        name,
        header.model_id.hex(),
        len(data),
        8 * len(data) / (header.width * header.height),
        {container.NAMES[kind]: len(payload) for kind, payload in chunks.items()},
    )


def fingerprint(
    data: bytes,
    *,
    model: Model | str | Path | None = None,
    max_pixels: int | None = container.DEFAULT_MAX_PIXELS,
) -> str:
    """Return the SHA-256, in hexadecimal, of the integers that a .fin file decodes to: the same on every machine.

    They are those before any floating point: the C-vectors (h, w, C) with 12 fractional bits, as little-endian int32. A
    lossless file has none. Raises what :func:`decode` raises.
    """
    header, chunks = container.unpack(data, max_pixels)
    if HYPER not in chunks:
        return hashlib.sha256(b"").hexdigest()
    model = _model_of(header, model)
    grid = _grid(header, model, max_pixels)
    return hashlib.sha256(_integers(header, chunks, model, grid).astype("<i4").tobytes()).hexdigest()


def _lossless(model: Model, planes: Planes, extras: dict[int, bytes], effort: int) -> bytes:
    height, width = planes.pixels.shape[:2]
    layer = np.dstack([planes.pixels, np.full((height, width), 255, np.uint8)])
    header = Header(model.id, width, height, planes.mode, QUALITIES)
    return container.pack(header, {LAYER: images.pack_layer(layer, _webp_method(effort))} | extras)


def _webp_method(effort: int) -> int:
    return 6 if effort in REFINEMENTS else 5


@dataclass(frozen=True)
class _Encoded:
    data: bytes
    decoded: Callable[[], NDArray[np.uint8]]  # the pixels (H, W, 3) that the data decodes to


def _encode(
    model: Model, planes: Planes, extras: dict[int, bytes], quality: int, effort: int, tune: str, search: Search | None
) -> _Encoded:
    height, width = planes.pixels.shape[:2]
    if search is not None and search.worthwhile:
        choice = _choose(model, planes.pixels, quality, effort, tune, search)
    else:
        choice = Choice(payloads(model, planes.pixels, quality, effort, tune), None, None)

    def decoded() -> NDArray[np.uint8]:
        if choice.pixels is not None:
            return choice.pixels
        assert choice.learned is not None
        return model.transforms.synthesise(choice.learned.y, quality, height, width)

    chunks = {} if choice.learned is None else _chunks(choice.learned)
    if choice.layer is not None:
        chunks[LAYER] = images.pack_layer(choice.layer, _webp_method(effort))
    header = Header(model.id, width, height, planes.mode, quality)
    return _Encoded(container.pack(header, chunks | extras), decoded)


def _choose(model: Model, pixels: NDArray[np.uint8], quality: int, effort: int, tune: str, search: Search) -> Choice:
    """Encode with and without a layer, and keep what costs less."""

    def learned(pixels: NDArray[np.uint8], free: Mask | None = None) -> Learned:
        bits = np.zeros(model.transforms.grid(*pixels.shape[:2]), np.float32)
        coded = payloads(model, pixels, quality, effort, tune, free, bits)
        size = sum(map(container.chunk_bytes, _chunks(coded).values()))
        return Learned(coded, size, model.transforms.synthesise(coded.y, quality, *pixels.shape[:2]), bits)

    weight = model.lagrange_multiplier(quality) / 3
    return search.choose(learned(pixels), weight, fine_weight(weight, quality), learned)


def payloads(
    model: Model,
    pixels: NDArray[np.uint8],
    quality: int,
    effort: int = DEFAULT_EFFORT,
    tune: str = DEFAULT_TUNE,
    free: Mask | None = None,
    bits: NDArray[np.float32] | None = None,
) -> Payloads:
    """Code pixels (H, W, 3) as C-vectors, as :func:`encode` does without a layer.

    What is ``free`` (h, w) need not be coded. The bits of each C-vector are added to ``bits`` (h, w), if it is given.
    """
    y = model.transforms.analyse(pixels, quality, tune)
    z = model.transforms.hyper(y, quality)
    price = _price(model, pixels, quality, tune) if effort else None
    if effort in REFINEMENTS and model.refines:
        assert z is not None
        assert price is not None
        price = refine(model, pixels, y, z, quality, REFINEMENTS[effort], price, tune, free)
    in_place = y.view(np.int32)  # large pictures would not fit twice
    return model.prior.encode(y, z, quality, price, free, out=in_place, bits=bits)


def _price(model: Model, pixels: NDArray[np.uint8], quality: int, tune: str) -> Price:
    price = model.price(quality)
    return price if tune == DEFAULT_TUNE else SSIM_PRICE * price * visibility(pixels, model.profile.block)


def _chunks(payloads: Payloads) -> dict[int, bytes]:
    chunks = {HYPER: payloads.hyper, VECTORS: payloads.vectors}
    if checks := container.checks(payloads.vectors):
        chunks[CHECKS] = checks
    return chunks


def _with_psnr(planes: Planes, encoded: _Encoded) -> tuple[float, bytes]:
    error = np.mean((planes.pixels.astype(np.float32) - encoded.decoded()) ** 2, dtype=np.float64)
    return float(10 * np.log10(255**2 / max(error, 1e-10))), encoded.data


def _check_whole(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ConfigError(f"{name} {value!r} is not a whole number within {low}..{high}")


def _check_tune(tune: str, model: Model) -> None:
    if tune not in TUNES:
        raise ConfigError(f"tune {tune!r} is none of {', '.join(TUNES)}")
    if tune not in model.tunes:
        raise ConfigError(f"the model {model.name} has no encoder for {tune}, only for {', '.join(model.tunes)}")


def _check_targets(**targets: float | None) -> None:
    given = {name: value for name, value in targets.items() if value is not None}
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} contradict each other: give one target")
    for name, value in given.items():
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} {value} is not a positive number")


def _check_limits(width: int, height: int, model: Model, max_pixels: int | None) -> None:
    """Apply the limits of :func:`decode` before anything is written that it would refuse."""
    container.check_size(width, height, max_pixels)
    rows, columns = model.transforms.grid(height, width)
    container.check_cover(rows * columns * model.profile.block**2, max_pixels)


def _grid(header: Header, model: Model, max_pixels: int | None) -> tuple[int, int]:
    """Return the rows and columns of C-vectors, which must not cover too much."""
    _check_limits(header.width, header.height, model, max_pixels)
    return model.transforms.grid(header.height, header.width)


def _integers(header: Header, chunks: Mapping[int, bytes], model: Model, grid: tuple[int, int]) -> Integers:
    return model.prior.decode(chunks[HYPER], chunks[VECTORS], grid, header.quality)


def _recovered(
    header: Header, chunks: Mapping[int, bytes], model: Model, grid: tuple[int, int]
) -> tuple[Integers, str | None]:
    """Return what is intact of the vectors, and what is wrong with the rest."""
    vectors = chunks.get(VECTORS, b"")
    try:
        return model.prior.decode(chunks[HYPER], vectors, grid, header.quality), None
    except FormatError:
        y, intact = model.prior.salvage(chunks[HYPER], vectors, grid, header.quality)
        return y, f"{intact} of {model.prior.parts(grid)} parts of the vectors were recovered"


def _synthesised(header: Header, model: Model, y: Integers) -> NDArray[np.uint8]:
    return model.transforms.synthesise(y, header.quality, header.height, header.width)


def _layer_alone(header: Header, chunks: Mapping[int, bytes]) -> NDArray[np.uint8]:
    """Return pixels (H, W, 3) of no importance, after checking that the layer covers all of them."""
    if not (images.unpack_layer(chunks[LAYER], header.height, header.width)[:, :, 3] == 255).all():
        raise FormatError("the layer does not cover the picture, and there are no vectors beneath it")
    return np.zeros((header.height, header.width, 3), np.uint8)


def _picture(header: Header, chunks: Mapping[int, bytes], pixels: NDArray[np.uint8]) -> Image.Image:
    if LAYER in chunks:
        layer = images.unpack_layer(chunks[LAYER], header.height, header.width)
        pixels = np.where(layer[:, :, 3:] == 255, layer[:, :, :3], pixels)
    alpha = None
    if header.mode.endswith("A"):  # missing only where a damaged file is salvaged
        alpha = images.unpack_alpha(chunks.get(ALPHA, images.OPAQUE), header.height, header.width)
    return images.from_planes(Planes(pixels, header.mode, alpha, Metadata.from_chunks(chunks)))


def _extras(planes: Planes, strip: bool) -> dict[int, bytes]:
    extras: dict[int, bytes] = {}
    if planes.alpha is not None:
        extras[ALPHA] = images.pack_alpha(planes.alpha)
    return extras | (Metadata(icc=planes.metadata.icc) if strip else planes.metadata).chunks()


def _model_of(header: Header, model: Model | str | Path | None, threads: int = 0, device: str | None = None) -> Model:
    if model is None:
        return find_model(header.model_id, threads, device)
    model = model if isinstance(model, Model) else load_model(model, threads, device)
    if model.id != header.model_id:
        raise ModelError(
            f"the file was written with the model {header.model_id.hex()}, which is not {model.name} ({model.id.hex()})"
        )
    return model
