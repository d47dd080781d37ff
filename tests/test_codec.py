"""The public API: pictures of every kind and size, targets, models."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

import finola_codec
from finola_codec import (
    ConfigError,
    FormatError,
    ImageError,
    LimitError,
    Model,
    ModelError,
    codec,
    container,
    decode,
    encode,
    fingerprint,
    formats,
    images,
)
from tests import hard
from tests.conftest import psnr

SIZES = [(1, 1), (1, 40), (17, 16), (16, 17), (33, 65), (100, 3)]


@pytest.mark.parametrize("size", SIZES)
def test_any_size(tiny_model: Model, photo: Image.Image, size: tuple[int, int]) -> None:
    picture = photo.crop((100, 50, 100 + size[0], 50 + size[1]))
    decoded = decode(encode(picture, 70, model=tiny_model), model=tiny_model)
    assert decoded.size == size
    assert psnr(picture, decoded) > 20


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P", "1", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_any_mode(tiny_model: Model, photo: Image.Image, mode: str) -> None:
    small = photo.crop((60, 60, 124, 110))
    if mode in ("I;16", "I", "F"):
        grey = np.asarray(small.convert("L"))
        wide = {"I;16": grey.astype(np.uint16) * 257, "I": grey.astype(np.int32) * 257, "F": grey.astype(np.float32)}
        picture, expected = Image.fromarray(wide[mode]), small.convert("L")
        assert picture.mode == mode
    else:
        picture = small.convert(mode)
        expected = picture.convert({"P": "RGB", "1": "L", "CMYK": "RGB", "YCbCr": "RGB"}.get(mode, mode))
    decoded = decode(encode(picture, 90, model=tiny_model), model=tiny_model)
    assert decoded.mode == expected.mode
    assert psnr(expected, decoded) > {"1": 6, "P": 18}.get(mode, 22)  # the tiny codec keeps 32 of 768 coefficients


def test_alpha_is_lossless(tiny_model: Model, photo: Image.Image) -> None:
    picture = photo.crop((0, 0, 90, 70))
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    decoded = decode(encode(picture, model=tiny_model), model=tiny_model)
    assert (np.asarray(decoded)[..., 3] == np.asarray(picture)[..., 3]).all()


def test_palette_with_transparency_becomes_rgba(tiny_model: Model, photo: Image.Image) -> None:
    picture = photo.crop((0, 0, 40, 40)).quantize(8)
    picture.info["transparency"] = 0
    assert decode(encode(picture, model=tiny_model), model=tiny_model).mode == "RGBA"


def test_icc_and_exif_are_kept_and_orientation_is_applied(tiny_model: Model, photo: Image.Image) -> None:
    picture = photo.crop((0, 0, 48, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    exif[0x010E] = "a cat"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif, icc_profile=icc)
    decoded = decode(encode(Image.open(file), 90, model=tiny_model), model=tiny_model)
    assert decoded.size == (32, 48)
    assert psnr(picture.transpose(Image.Transpose.ROTATE_270), decoded) > 25
    assert decoded.info["icc_profile"] == icc
    assert decoded.getexif()[0x010E] == "a cat"
    assert 0x0112 not in decoded.getexif()


def test_higher_quality_is_larger_and_better(tiny_model: Model, photo: Image.Image) -> None:
    files = [encode(photo, q, model=tiny_model) for q in (1, 25, 50, 75, 100)]
    assert sorted(map(len, files)) == list(map(len, files))
    quality = [psnr(photo, decode(f, model=tiny_model)) for f in files]
    assert sorted(quality) == quality


def test_targets(tiny_model: Model, photo: Image.Image) -> None:
    pixels = photo.width * photo.height
    data = encode(photo, model=tiny_model, target_bpp=0.4)
    quality = finola_codec.info(data).quality
    assert 8 * len(data) <= 0.4 * pixels < 8 * len(encode(photo, quality + 1, model=tiny_model))
    assert len(encode(photo, model=tiny_model, target_bytes=len(data))) == len(data)
    goal = psnr(photo, decode(encode(photo, 40, model=tiny_model), model=tiny_model)) - 1e-3
    data = encode(photo, model=tiny_model, target_psnr=goal)
    quality = finola_codec.info(data).quality
    assert quality <= 40
    assert psnr(photo, decode(data, model=tiny_model)) >= goal
    assert psnr(photo, decode(encode(photo, quality - 1, model=tiny_model), model=tiny_model)) < goal


def test_impossible_requests_are_refused(tiny_model: Model, photo: Image.Image) -> None:
    for arguments in ({"quality": 0}, {"quality": 101}, {"target_bytes": 40}, {"target_psnr": 90.0}):
        with pytest.raises(ConfigError):
            encode(photo, model=tiny_model, **arguments)  # type: ignore[arg-type]
    with pytest.raises(ImageError):
        encode(Image.new("RGB", (0, 5)), model=tiny_model)


def test_a_file_of_another_model_is_refused_by_name(tiny_model: Model, photo: Image.Image) -> None:
    data = bytearray(encode(photo.crop((0, 0, 16, 16)), model=tiny_model))
    with pytest.raises(ModelError, match=tiny_model.id.hex()):
        decode(bytes(data))
    with pytest.raises(FormatError):
        decode(b"not a picture", model=tiny_model)


def test_the_fingerprint_is_that_of_the_integers(tiny_model: Model, photo: Image.Image) -> None:
    y = tiny_model.transforms.analyse(np.asarray(photo), 50)
    z = tiny_model.transforms.hyper(y, 50)
    integers = tiny_model.prior.encode(y, z, 50, tiny_model.price(50)).y
    expected = hashlib.sha256(integers.astype("<i4").tobytes()).hexdigest()
    assert fingerprint(encode(photo, 50, model=tiny_model, effort=1), model=tiny_model) == expected


def test_info_needs_no_model(tiny_model: Model, photo: Image.Image) -> None:
    found = finola_codec.info(encode(photo.convert("L"), 33, model=tiny_model))
    assert (found.width, found.height, found.mode, found.quality) == (451, 300, "L", 33)
    assert found.model is None
    assert found.model_id == tiny_model.id.hex()


def test_the_codec_path_imports_nothing_heavy(tiny_model: Model) -> None:
    program = (
        "import sys, finola_codec, finola_codec.cli; from PIL import Image;"
        f"data = finola_codec.encode(Image.new('RGB', (20, 20)), model={str(tiny_model.folder)!r});"
        f"finola_codec.decode(data, model={str(tiny_model.folder)!r});"
        "print(sorted({'torch', 'matplotlib', 'scipy', 'lightning', 'skimage', 'pandas', 'onnx'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_thin_picture_may_not_claim_many_blocks(tiny_tile_model: Model) -> None:
    thin = encode(Image.new("RGB", (4096, 1)), 1, model=tiny_tile_model)
    assert decode(thin, model=tiny_tile_model).size == (4096, 1)
    long = Image.new("RGB", (40000, 1))
    data = encode(long, 1, model=tiny_tile_model)
    for refused in (
        lambda: decode(data, model=tiny_tile_model, max_pixels=10**5),
        lambda: encode(long, 1, model=tiny_tile_model, max_pixels=10**5),
    ):
        with pytest.raises(LimitError, match="blocks cover 2560000 pixels, more than the limit of 1048576"):
            refused()


def test_what_decode_would_refuse_is_not_encoded(tiny_model: Model) -> None:
    picture = Image.new("RGB", (300, 200))
    with pytest.raises(LimitError, match="300 x 200 pixels, more than the limit of 50000"):
        encode(picture, model=tiny_model, max_pixels=50_000)
    assert decode(encode(picture, model=tiny_model, max_pixels=60_000), model=tiny_model, max_pixels=60_000)
    with pytest.raises(LimitError, match="a side may have 1048576"):
        encode(Image.new("L", (2**20 + 1, 1)), model=tiny_model, max_pixels=None)


@pytest.mark.parametrize("target", [{"target_bpp": float("nan")}, {"target_psnr": float("inf")}, {"target_bytes": -5}])
def test_targets_that_make_no_sense_are_refused(tiny_model: Model, target: dict) -> None:
    with pytest.raises(ConfigError, match="is not a positive number"):
        encode(Image.new("RGB", (20, 20)), model=tiny_model, **target)


def test_two_targets_contradict_each_other(tiny_model: Model) -> None:
    with pytest.raises(ConfigError, match="target_bpp and target_psnr contradict"):
        encode(Image.new("RGB", (20, 20)), model=tiny_model, target_bpp=1.0, target_psnr=30.0)


def test_threads_are_those_of_the_model_that_is_opened(tiny_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.new("RGB", (20, 20)), model=tiny_model, layer="off")  # a layer alone needs no model
    opened = []
    monkeypatch.setattr(codec, "load_model", lambda model, threads, device: opened.append(threads) or tiny_model)
    decode(data, model=str(tiny_model.folder), threads=1)
    assert opened == [1]


@pytest.mark.parametrize("quality", [1, 30, 50, 100])
@pytest.mark.parametrize("kind", sorted(hard.PICTURES))
def test_every_file_that_is_written_can_be_read(either_model: Model, kind: str, quality: int) -> None:
    for size in ((1, 1), (3, 200), (130, 70), (700, 8)):
        picture = hard.PICTURES[kind](*size)
        for layer in ("auto", "off"):
            data = encode(picture, quality, model=either_model, layer=layer)
            assert decode(data, model=either_model).size == size


@pytest.mark.slow
@pytest.mark.parametrize("model", ["finola-base", "finola-256"])
@pytest.mark.parametrize("kind", ["white", "text"])
def test_large_flat_pictures_can_be_read(model: str, kind: str) -> None:
    picture = hard.PICTURES[kind](2048, 2048)
    data = encode(picture, 1, model=model, layer="off")
    assert len(data) < 4000
    assert psnr(decode(data), picture) > 25


def test_encode_leaves_its_arguments_alone(either_model: Model, photo: Image.Image) -> None:
    y = either_model.transforms.analyse(np.asarray(photo), 50)
    before = y.copy()
    either_model.prior.encode(y, either_model.transforms.hyper(y, 50), 50, either_model.price(50))
    assert (y == before).all()


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("mode", ["RGB", "CMYK", "LAB", "L", "F"])
def test_the_tags_of_a_tiff_do_not_go_astray(
    tiny_model: Model, photo: Image.Image, mode: str, orientation: int
) -> None:
    """A TIFF file's own layout was stored as EXIF, and made other TIFF files unreadable."""
    picture = photo.crop((0, 0, 80, 50))
    picture = _to_lab(picture) if mode == "LAB" else picture.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a cat"
    tiff, again = io.BytesIO(), io.BytesIO()
    picture.save(tiff, "TIFF", exif=exif)
    decoded = decode(encode(Image.open(tiff), 90, model=tiny_model), model=tiny_model)
    formats.save(decoded, again, ".tif")
    reread = Image.open(again)
    assert psnr(reread.convert("RGB"), decoded.convert("RGB")) > 100
    assert reread.size == ((80, 50) if orientation == 1 else (50, 80))
    assert reread.getexif()[0x010E] == "a cat"
    assert len(decoded.info["exif"]) < 200


def _to_lab(picture: Image.Image) -> Image.Image:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB")
    assert converted is not None
    return converted


def test_a_profile_that_does_not_fit_the_pixels_is_dropped(tiny_model: Model, photo: Image.Image) -> None:
    picture = photo.crop((0, 0, 48, 32)).convert("L")
    picture.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert "icc_profile" not in decode(encode(picture, model=tiny_model), model=tiny_model).info


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_lossless_files_have_every_pixel(tiny_model: Model, photo: Image.Image, mode: str) -> None:
    picture = photo.crop((50, 50, 130, 120)).convert(mode)
    if mode.endswith("A"):
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    data = encode(picture, model=tiny_model, lossless=True)
    decoded = decode(data)  # without its model, which is not installed
    assert decoded.mode == mode
    assert np.array_equal(np.asarray(decoded), np.asarray(picture))
    assert list(finola_codec.info(data).chunks) == ["layer"] + ["alpha"] * mode.endswith("A")


def test_a_layer_replaces_what_it_covers(tiny_model: Model, photo: Image.Image) -> None:
    picture = photo.crop((50, 50, 130, 120))
    below = np.asarray(decode(encode(picture, 30, model=tiny_model), model=tiny_model))
    header, chunks = container.unpack(encode(picture, 30, model=tiny_model))
    layer = np.zeros((70, 80, 4), np.uint8)
    layer[10:20, 30:60] = (200, 30, 90, 255)
    data = container.pack(header, chunks | {container.LAYER: images.pack_layer(layer, 4)})
    expected = below.copy()
    expected[10:20, 30:60] = (200, 30, 90)
    assert np.array_equal(np.asarray(decode(data, model=tiny_model)), expected)
    damaged = bytearray(data)
    damaged[-10] ^= 1
    recovered, problems = finola_codec.salvage(bytes(damaged), model=tiny_model)
    assert np.array_equal(np.asarray(recovered), below)
    assert problems == ["the layer chunk is damaged: its checksum does not match"]


def _webp(layer: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(layer).save(out, "WEBP", **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (b"no picture", "not a lossless WebP"),
        (_webp(np.zeros((70, 80, 3), np.uint8), quality=50), "not a lossless WebP"),
        (_webp(np.full((7, 8, 3), 9, np.uint8), lossless=True), "does not fit"),
        (_webp(np.full((70, 80, 4), 9, np.uint8), lossless=True, exact=True), "neither opaque nor transparent"),
        (_webp(np.full((70, 80, 3), 9, np.uint8), lossless=True)[:-4], "damaged"),
        (_webp(np.zeros((70, 80, 4), np.uint8), lossless=True), "does not cover"),
    ],
)
def test_layers_that_make_no_sense_are_refused(tiny_model: Model, layer: bytes, message: str) -> None:
    header = container.Header(tiny_model.id, 80, 70, "RGB", 50)
    with pytest.raises(FormatError, match=message):
        decode(container.pack(header, {container.LAYER: layer}), model=tiny_model)
