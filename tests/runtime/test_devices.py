"""What the transforms run on."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from finola_codec import ConfigError, Model, decode, encode, fingerprint, load_model
from finola_codec.cli import main
from finola_codec.runtime.devices import choose


def test_a_device_that_is_not_there_is_one_line(photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINOLA_DEVICE", "quantum")
    done = CliRunner().invoke(main, ["encode", "missing.png", "out.fin"])
    assert (done.exit_code, len(done.output.splitlines())) == (2, 1)
    assert "no device 'quantum'; known are auto, cpu" in done.output
    with pytest.raises(ConfigError, match="DmlExecutionProvider"):
        choose("directml")
    monkeypatch.setattr("finola_codec.runtime.devices.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"finola-codec\[openvino\]"):
        load_model(device="openvino")


@pytest.mark.parametrize("device", ["auto", "openvino"])
@pytest.mark.parametrize("crop", [(0, 0, 10, 256), (0, 0, 1, 100), (0, 0, 256, 10), (0, 0, 40, 256), (0, 0, 1, 1)])
def test_openvino_encodes_narrow_pictures_to_nearly_the_same_vectors(
    photo: Image.Image, device: str, crop: tuple[int, int, int, int]
) -> None:
    pytest.importorskip("openvino")
    pixels = np.ascontiguousarray(photo.resize((256, 256)).crop(crop))
    vectors = [load_model(device=name).transforms.analyse(pixels, 50) for name in (device, "cpu")]
    assert np.linalg.norm(vectors[0] - vectors[1]) < 0.02 * np.linalg.norm(vectors[1])


@pytest.mark.parametrize("kind", ["block", "tile"])
@pytest.mark.parametrize(("device", "levels"), [("auto", 1), ("openvino", 2)])
def test_openvino_decodes_the_same_integers_to_nearly_the_same_pixels(
    tiny_model: Model, tiny_tile_model: Model, photo: Image.Image, kind: str, device: str, levels: int
) -> None:
    pytest.importorskip("openvino")
    reference = tiny_model if kind == "block" else tiny_tile_model
    assert reference.device == "cpu"
    other = load_model(reference.folder, device=device)
    data = encode(photo, 70, model=reference)
    assert fingerprint(data, model=other) == fingerprint(data, model=reference)
    pixels = [np.asarray(decode(data, model=model)).astype(int) for model in (other, reference)]
    assert np.abs(pixels[0] - pixels[1]).max() <= levels
    encoded = encode(photo, 70, model=other)
    assert len(encoded) == pytest.approx(len(data), rel=0.01)
    assert decode(encoded, model=reference).size == photo.size
