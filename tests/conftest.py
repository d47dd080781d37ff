"""What tests share: photographs, and a tiny codec that works without having been trained for long."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from filelock import FileLock
from PIL import Image

from finola_codec.nn.export import export
from finola_codec.nn.model import Codec, build
from finola_codec.profiles import FINOLA_TINY, FINOLA_TINY_TILE, Profile
from finola_codec.runtime.model import Model, load_model
from finola_codec.training.data import to_tensor

collect_ignore = ["fuzz/fuzz_atheris.py"]  # is not a test, and needs atheris

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--window-size=1200,1600")  # fmt: skip

os.environ["FINOLA_DEVICE"] = "cpu"  # the reference, whatever else is installed


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """A photograph of 451 x 300 pixels."""
    return Image.fromarray(skimage.data.cat())


@pytest.fixture(scope="session")
def crops() -> torch.Tensor:
    """Crops (12, 3, 128, 128) of photographs, in [-0.5, 0.5]."""
    pictures = (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.cat())
    return to_tensor([p[r : r + 128, c : c + 128] for p in pictures for r in (0, 160) for c in (0, 200)])


def untrained(profile: Profile, crops: torch.Tensor) -> Codec:
    """The KLT, and everywhere else weights that are neither zero nor trained."""
    torch.manual_seed(1)
    codec = build(profile)
    codec.start_from(crops)
    with torch.no_grad():
        for name, parameter in codec.named_parameters():
            if "lapped" in name:  # little, but across block borders too
                parameter.add_(torch.randn_like(parameter) * 0.03 * parameter.square().mean().sqrt())
            elif "shortcut" not in name and "log2" not in name:
                parameter.add_(torch.randn_like(parameter) * 0.02)
    return codec.eval()


@pytest.fixture(scope="session")
def tiny_codec(crops: torch.Tensor) -> Codec:
    """A codec of the tiny profile with blocks of 16."""
    return untrained(FINOLA_TINY, crops)


@pytest.fixture(scope="session")
def tiny_tile_codec(crops: torch.Tensor) -> Codec:
    """A codec of the tiny profile with tiles of 64."""
    return untrained(FINOLA_TINY_TILE, crops)


def exported(codec: Codec, factory: pytest.TempPathFactory) -> Model:
    """Export a codec once for all processes that the tests run in, because that takes ten seconds."""
    name, shared = codec.profile.name, factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with FileLock(shared / f"{name}.lock"):
        if not (shared / name).exists():
            export(codec, factory.mktemp("models") / name, name, "A model for tests.").folder.rename(shared / name)
    return load_model(shared / name)


@pytest.fixture(scope="session")
def tiny_model(tiny_codec: Codec, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The tiny codec, exported."""
    return exported(tiny_codec, tmp_path_factory)


@pytest.fixture(scope="session")
def tiny_tile_model(tiny_tile_codec: Codec, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The tiny codec with tiles, exported."""
    return exported(tiny_tile_codec, tmp_path_factory)


@pytest.fixture(params=["tiny_model", "tiny_tile_model"])
def either_model(request: pytest.FixtureRequest) -> Model:
    """A model of each family."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def kodak() -> list[Path]:
    """The Kodak images, from FINOLA_KODAK or ../shared/data/kodak; skips where there are none."""
    folder = Path(os.environ.get("FINOLA_KODAK", Path(__file__).parents[2] / "shared" / "data" / "kodak"))
    images = sorted(folder.glob("*.png"))
    if not images:
        pytest.skip(f"no Kodak images in {folder}; name their folder in FINOLA_KODAK")
    return images


def psnr(a: Image.Image, b: Image.Image) -> float:
    """dB between two pictures of one mode."""
    error = np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium, driven by selenium."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium and chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()
