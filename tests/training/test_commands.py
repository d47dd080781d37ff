"""The commands `train` and `export`, from pictures to a model."""

from __future__ import annotations

import csv
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from click.testing import CliRunner
from PIL import Image

from finola_codec import Model, decode, encode, fingerprint, load_model
from finola_codec.cli import main
from finola_codec.nn.export import TRAINING
from finola_codec.runtime.manifest import DECODER, DECODER_GRID
from finola_codec.training.config import MS_SSIM_CROP


def _command(data: Path, folder: Path, *extra: str) -> list[str]:
    fields = ("profile=finola-tiny", "batch=2", "crop=64", "held_out=1", "validate_every=1000", "threads=1")
    settings = [word for setting in fields for word in ("--set", setting)]
    return ["train", str(data), "--out", str(folder), *settings, *extra]


def run(*arguments: str) -> str:
    """Run a command that must succeed, and return what it says."""
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_save_the_run(data: Path, tmp_path: Path, number: int, code: int) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-m", "finola_codec", *_command(data, folder, "--steps", "100000")])
    deadline = time.monotonic() + 120
    while not (folder / "log.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(3)
    process.send_signal(number)
    assert process.wait(60) == code
    assert torch.load(folder / "checkpoint.pt", weights_only=True)["step"] > 0


@pytest.mark.slow
def test_two_processes_train_as_one_and_resume_exactly(data: Path, tmp_path: Path) -> None:
    """With the same crops the losses differ by the noise of quantization alone."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29517"]
    alone = [sys.executable]
    for name, launcher, parts in (("one", alone, 1), ("two", torchrun, 1), ("again", torchrun, 2)):
        for part in range(parts):
            extra = ["--steps", "6"] + (["--max-steps", "3"] if part < parts - 1 else []) + ["--resume"] * (part > 0)
            command = [
                *launcher,
                "-m",
                "finola_codec",
                *_command(data, tmp_path / name, *extra, "--accelerator", "cpu"),
            ]
            subprocess.run(command, check=True, capture_output=True, timeout=300)
    rows = {name: list(csv.DictReader((tmp_path / name / "log.csv").open())) for name in ("one", "two", "again")}
    assert all([int(r["step"]) for r in found] == [1, 2, 3, 4, 5, 6] for found in rows.values())
    assert [r["loss"] for r in rows["again"]] == [r["loss"] for r in rows["two"]]
    weights = {n: torch.load(tmp_path / n / "checkpoint.pt", weights_only=True)["model"] for n in rows}
    assert all(torch.equal(value, weights["again"][name]) for name, value in weights["two"].items())
    one, two = ([float(r["loss"]) for r in rows[name]] for name in ("one", "two"))
    assert two == pytest.approx(one, rel=0.05)
    assert max(one) > 1.2 * min(one)  # the crops differ by more


@pytest.mark.slow
def test_train_and_export_commands(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('profile = "finola-tiny"\nsteps = 3\nbatch = 2\ncrop = 64\nheld_out = 1\nvalidate_every = 2\n')
    folder = tmp_path / "run"
    train = ["train", str(data), "--out", str(folder), "--config", str(config)]
    for extra in (["--max-steps", "2"], ["--resume", "--max-minutes", "1"]):
        run(*train, *extra)
    run("export", str(folder), str(tmp_path / "my-model"), "--licence", "CC0-1.0")
    model = load_model(tmp_path / "my-model")
    assert model.name == "my-model"
    assert model.manifest.licence == "CC0-1.0"
    card = (tmp_path / "my-model" / "MODEL_CARD.md").read_text()
    for part in ("3 training steps", "Licence: CC0-1.0", "BD-rate by PSNR against finola-base", "jpeg", "avif"):
        assert part in card
    picture = Image.fromarray(skimage.data.coffee()[:64, :80])
    assert decode(encode(picture, model=model), model=model).size == (80, 64)


@pytest.mark.slow
def test_a_new_decoder_leaves_encoders_and_prior_as_they_were(data: Path, tiny_model: Model, tmp_path: Path) -> None:
    model, folder = tmp_path / "my", tmp_path / "run"
    started = ["train", str(data), "--out", str(folder), "--from", str(tiny_model.folder), "--set", "part=decoder"]
    run(*started, "--set", "crop=64", "--set", "batch=2", "--steps", "2")
    run("export", str(folder), str(model), "--licence", "CC0-1.0")
    old, new = tiny_model, load_model(model)
    changed = {f.name for f in model.iterdir() if f.read_bytes() != (old.folder / f.name).read_bytes()}
    assert changed == {DECODER, DECODER_GRID, TRAINING, "MODEL_CARD.md", "model.json"}
    card = (model / "MODEL_CARD.md").read_text()
    for part in ("# my", "2 training steps", "Licence: CC0-1.0", "## Before the decoder was trained alone"):
        assert part in card
    picture = Image.fromarray(skimage.data.coffee()[:64, :80])
    before, after = (encode(picture, effort=1, model=which) for which in (old, new))
    assert fingerprint(before, model=old) == fingerprint(after, model=new)
    assert not np.array_equal(decode(before, model=old), decode(after, model=new))


@pytest.mark.slow
def test_an_encoder_for_ssim_is_added_to_the_model_it_was_tuned_from(
    data: Path, tiny_model: Model, tmp_path: Path
) -> None:
    model, folder = tmp_path / "my", tmp_path / "run"
    shutil.copytree(tiny_model.folder, model)
    started = ["train", str(data), "--out", str(folder), "--from", str(model), "--set", "tune=ssim", "--steps", "2"]
    run(*started, "--set", f"crop={MS_SSIM_CROP}", "--set", "batch=2")
    said = run("export", str(folder), str(model))
    assert f"{tiny_model.id.hex()} has an encoder for ssim, 2 training steps" in said
    card = (model / "MODEL_CARD.md").read_text()
    assert card.startswith("A model for tests.")
    assert "BD-rate by MS-SSIM against finola-tiny" in card
    picture = tmp_path / "a.png"
    Image.fromarray(skimage.data.coffee()[:64, :80]).save(picture)
    arguments = ["encode", str(picture), str(tmp_path / "a.fin"), "--tune", "ssim", "--model"]
    run(*arguments, str(model))
    assert decode((tmp_path / "a.fin").read_bytes(), model=tiny_model).size == (80, 64)
    done = CliRunner().invoke(main, [*arguments, str(tiny_model.folder), "--force"])
    assert done.exit_code == 2
    assert "has no encoder for ssim" in done.output
    done = CliRunner().invoke(main, ["export", str(folder), str(model)])
    assert done.exit_code == 2
    assert "has an encoder for ssim already; replace it with --force" in done.output
