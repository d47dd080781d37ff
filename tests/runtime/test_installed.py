"""Where models are found."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from finola_codec import Model, ModelError, decode, encode, load_model
from finola_codec.cli import main


@pytest.fixture
def elsewhere(tiny_model: Model, tmp_path: Path) -> Path:
    """A folder with a model named mine and one that is broken."""
    shutil.copytree(tiny_model.folder, tmp_path / "models" / "mine")
    shutil.copytree(tiny_model.folder, tmp_path / "models" / "broken")
    with (tmp_path / "models" / "broken" / "prior.npz").open("ab") as file:
        file.write(b"x")
    return tmp_path / "models"


def test_a_model_is_found_through_the_environment(
    elsewhere: Path, tiny_model: Model, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode(photo, 10, model=tiny_model)
    with pytest.raises(ModelError, match="FINOLA_MODELS"):
        decode(data)
    monkeypatch.setenv("FINOLA_MODELS", os.pathsep.join(["/nowhere", str(elsewhere)]))
    shutil.rmtree(elsewhere / "broken")
    assert decode(data).size == photo.size
    assert load_model("mine").id == tiny_model.id


def test_a_model_is_found_in_the_current_folder(
    elsewhere: Path, tiny_model: Model, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(elsewhere / "broken")
    monkeypatch.chdir(elsewhere)
    assert decode(encode(photo, 10, model=tiny_model)).size == photo.size


def test_models_are_listed_with_what_is_wrong(
    elsewhere: Path, tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINOLA_MODELS", str(elsewhere))
    done = CliRunner().invoke(main, ["models"])
    assert done.exit_code == 0
    rows = {line.split()[0]: line for line in done.output.splitlines()}
    assert {"finola-base", "mine", "broken"} <= set(rows)
    assert f"{tiny_model.id.hex()}  " in rows["mine"]
    assert " ok " in rows["mine"]
    assert "psnr, ssim" in rows["finola-base"]
    assert "ssim" not in rows["mine"]
    assert "prior.npz does not match its hash" in rows["broken"]
