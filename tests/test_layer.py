"""What the encoder puts into the lossless layer, through the public API."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

import finola_codec.pillow_plugin  # noqa: F401  (registers the format)
from finola_codec import ConfigError, Model, decode, encode, images, info, load_model, salvage
from finola_codec.layer import Search
from finola_codec.layer.fill import fill
from tests.conftest import psnr
from tests.golden.make import chart, page


def cost(picture: Image.Image, data: bytes, model: Model, quality: int) -> float:
    """Bits and error of a file, as training and the encoder weigh them."""
    error = (np.asarray(picture.convert("RGB"), float) - np.asarray(decode(data, model=model).convert("RGB"))) ** 2
    return 8 * len(data) + model.lagrange_multiplier(quality) * error.sum() / 3


def test_a_page_of_text_is_a_layer_alone(either_model: Model) -> None:
    data = encode(page(), 60, model=either_model)
    assert list(info(data).chunks) == ["layer"]
    assert len(data) < len(encode(page(), model=either_model, layer="only"))
    assert psnr(page(), decode(data)) > 35


def test_a_chart_beside_a_photograph_has_both(photo: Image.Image) -> None:
    picture, model = chart(photo), load_model("finola-base")
    data = encode(picture, 50)
    assert set(info(data).chunks) == {"hyper vectors", "vectors", "layer"}
    without = encode(picture, 50, layer="off")
    assert cost(picture, data, model, 50) < 0.5 * cost(picture, without, model, 50)
    damaged = bytearray(data)
    damaged[-10] ^= 1
    recovered, problems = salvage(bytes(damaged))
    assert problems == ["the layer chunk is damaged: its checksum does not match"]
    photograph = (300, 100, 440, 220)
    assert psnr(picture.crop(photograph), recovered.crop(photograph)) > 25
    assert psnr(picture, recovered) < psnr(picture, decode(data))


@pytest.mark.parametrize("quality", [1, 30, 100])
@pytest.mark.parametrize("size", [(240, 160), (37, 33), (1, 50)])
def test_it_is_never_worse_than_no_layer(
    either_model: Model, photo: Image.Image, quality: int, size: tuple[int, int]
) -> None:
    picture = chart(photo).crop((200, 50, 200 + size[0], 50 + size[1]))
    auto, off = (encode(picture, quality, model=either_model, layer=layer) for layer in ("auto", "off"))
    assert cost(picture, auto, either_model, quality) <= cost(picture, off, either_model, quality)


def test_a_photograph_is_as_it_would_be_without(tiny_model: Model, photo: Image.Image) -> None:
    assert not Search(np.asarray(photo), 16).worthwhile
    assert encode(photo, 40, model=tiny_model) == encode(photo, 40, model=tiny_model, layer="off")


def test_a_photograph_with_bars_is_tried_with_few_layers(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars are sharp enough for a search, but a layer over all of the picture is out of reach."""
    pixels = np.asarray(photo.resize((320, 240))).copy()
    pixels[:16, :160] = 0
    pixels[8:16, :160] = 255
    picture, packed = Image.fromarray(pixels), []
    assert Search(pixels, 16).worthwhile
    pack = images.pack_layer
    monkeypatch.setattr(images, "pack_layer", lambda layer, method: packed.append(layer) or pack(layer, method))
    encode(picture, 60)
    whole = [layer for layer in packed if (layer[:, :, 3] == 255).all()]
    assert len(whole) == 3  # to learn how well WebP codes it, the first candidate, and the one without loss


def test_a_flat_colour_is_exact() -> None:
    picture = Image.new("RGB", (200, 150), (200, 30, 90))
    assert np.array_equal(np.asarray(decode(encode(picture, 60))), np.asarray(picture))


@pytest.mark.parametrize("mode", ["L", "RGBA", "LA"])
def test_layers_in_every_mode(tiny_model: Model, mode: str) -> None:
    picture = page().convert(mode)
    data = encode(picture, 70, model=tiny_model)
    assert "layer" in info(data).chunks
    assert decode(data).mode == mode
    assert psnr(picture, decode(data)) > 35


def test_targets_are_met_with_a_layer(tiny_model: Model) -> None:
    small = encode(page(), target_bytes=900, model=tiny_model)
    assert len(small) <= 900
    assert "layer" in info(small).chunks
    fine = encode(page(), target_psnr=38, model=tiny_model)
    assert psnr(page(), decode(fine, model=tiny_model)) >= 38
    assert len(fine) > len(small)


def test_effort_0_and_off_have_no_layer(tiny_model: Model) -> None:
    for options in ({"effort": 0}, {"layer": "off"}):
        assert "layer" not in info(encode(page(), model=tiny_model, **options)).chunks


def test_only_is_lossless(tiny_model: Model) -> None:
    data = encode(page(), model=tiny_model, layer="only")
    assert data == encode(page(), model=tiny_model, lossless=True)
    assert np.array_equal(np.asarray(decode(data)), np.asarray(page()))
    file = io.BytesIO()
    page().save(file, "FIN", layer="only")
    assert list(info(file.getvalue()).chunks) == ["layer"]


def test_the_best_qualities_lead_up_to_lossless(tiny_model: Model) -> None:
    """Art with smooth edges has more colours than a palette; quality 100 ended at 45 dB, far from lossless."""
    files = [encode(art(), quality, model=tiny_model) for quality in (80, 90, 100)]
    assert all(list(info(data).chunks) == ["layer"] for data in files)
    reached = [psnr(art(), decode(data)) for data in files]
    assert reached == sorted(set(reached))
    assert reached[-1] > 50
    assert len(files[-1]) < len(encode(art(), model=tiny_model, layer="only"))


@pytest.mark.parametrize("side", [48, 72])
def test_above_quality_80_layers_are_no_larger_than_a_lossless_one_and_get_better(
    photo: Image.Image, side: int
) -> None:
    """Merging colours saved nothing and cost bytes; a mixture of 42 dB took the place of a layer of 53 dB."""
    picture = art(40)
    picture.paste(photo.crop((60, 40, 60 + side, 40 + side * 5 // 6)), (150, 100))
    files = [encode(picture, quality) for quality in (88, 92, 96, 100)]
    assert max(map(len, files)) <= len(encode(picture, layer="only"))
    reached = [psnr(picture, decode(data)) for data in files]
    assert reached == sorted(reached)


def art(discs: int = 80) -> Image.Image:
    """Discs of many colours with smooth edges."""
    rng = np.random.default_rng(2)
    picture = Image.new("RGB", (960, 720), "white")
    draw = ImageDraw.Draw(picture)
    for x, y, radius, *colour in rng.integers(0, [960, 720, 120, 256, 256, 256], (discs, 6)).tolist():
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(colour))
    return picture.resize((240, 180), Image.Resampling.BOX)


def test_an_unknown_choice_is_an_error(tiny_model: Model) -> None:
    with pytest.raises(ConfigError, match="layer 'yes' is not one of auto, off, only"):
        encode(page(), model=tiny_model, layer="yes")  # type: ignore[arg-type]


def test_filling_goes_on_from_the_surroundings(photo: Image.Image) -> None:
    pixels = np.asarray(photo)
    covered = np.zeros(pixels.shape[:2], bool)
    covered[100:164, 200:280] = True
    filled = fill(pixels, covered)
    assert np.array_equal(filled[~covered], pixels[~covered])
    border = pixels[90:100, 200:280].mean((0, 1))
    assert np.abs(filled[100:104, 200:280].mean((0, 1)) - border).max() < 20
    assert np.abs(np.diff(filled[100:164, 200:280].astype(int), axis=0)).max() < 40  # no edges
