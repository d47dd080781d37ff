"""Exported models against the torch codec they came from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from finola_codec.entropy.fixed import to_real
from finola_codec.entropy.hyperprior import ExactHyperprior
from finola_codec.errors import ModelError
from finola_codec.nn.blocks import mix_of, two_forms
from finola_codec.nn.model import Codec
from finola_codec.nn.restore import restore
from finola_codec.runtime.model import Model, load_model


@pytest.mark.parametrize("size", [(64, 64), (200, 136), (16, 16)])
def test_pixels_agree_with_torch_to_one_level(either_model: Model, photo: Image.Image, size: tuple[int, int]) -> None:
    codec = restore(either_model.folder).eval()
    pixels = np.asarray(photo)[: size[0], : size[1]]
    y = either_model.transforms.analyse(pixels, 40)
    payloads = either_model.prior.encode(y, either_model.transforms.hyper(y, 40), 40)
    decoded = either_model.transforms.synthesise(payloads.y, 40, *size)
    weights = mix_of(torch.tensor([39 / 99]), codec.profile.anchors)
    with torch.no_grad():
        expected = codec.synthesise(torch.from_numpy(to_real(payloads.y)).permute(2, 0, 1)[None], weights)
    levels = ((expected[0].permute(1, 2, 0).numpy()[: size[0], : size[1]] + 0.5) * 255).round().clip(0, 255)
    assert np.abs(levels - decoded).max() <= 1


def test_bounds_are_proved_and_stored(tiny_model: Model) -> None:
    bounds = tiny_model.manifest.bounds
    assert set(tiny_model.prior.spec.layers()) < set(bounds)
    assert 0 < max(bounds.values()) < 2**53


def test_a_layer_without_a_bound_is_refused(tiny_codec: Codec) -> None:
    arrays = {k: v.astype(np.int64) for k, v in tiny_codec.prior.to_integers().items()}
    arrays["group0_phase0_hidden"] = np.full_like(arrays["group0_phase0_hidden"], 2**24)
    with pytest.raises(ModelError, match=r"group0_phase0_hidden.*2\^53"):
        ExactHyperprior(tiny_codec.profile.prior, arrays, None).bounds()  # type: ignore[arg-type]


def test_a_tampered_model_is_refused(tiny_model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model.folder, folder)
    data = bytearray((folder / "prior.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "prior.npz").write_bytes(data)
    with pytest.raises(ModelError, match=r"prior\.npz does not match its hash"):
        load_model(folder)


@pytest.mark.parametrize("kind", ["tiny", "tiny_tile"])
def test_a_model_can_be_trained_further(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> None:
    codec, model = (request.getfixturevalue(f"{kind}_{part}") for part in ("codec", "model"))
    restored = restore(model.folder).state_dict()
    for name, value in codec.state_dict().items():
        precision = 0.05 if name.endswith("_context") else 2e-3  # those are stored times the whitening, which is small
        torch.testing.assert_close(restored[name], value, rtol=1e-3, atol=precision, msg=name)
    apart = load_file(model.folder / "training.safetensors")
    assert not apart.keys() & {f"{name}.weight" for name, _ in two_forms(codec)}  # which are not small
    shutil.copytree(model.folder, tmp_path / "model")
    (tmp_path / "model" / "training.safetensors").unlink()
    with pytest.raises(ModelError, match="train the model further"):
        restore(tmp_path / "model")


def test_unknown_and_broken_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no-such-model"):
        load_model("no-such-model")
    (tmp_path / "model.json").write_text(json.dumps([1]))
    with pytest.raises(ModelError, match=str(tmp_path)):
        load_model(tmp_path)
