"""Training: exact resumption, caches, configuration, and the commands around them."""

from __future__ import annotations

import csv
import hashlib
import itertools
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import skimage.data
import torch
from click.testing import CliRunner
from PIL import Image

from finola_codec import Model, decode, encode, fingerprint, info, load_model, quality
from finola_codec.cli import main
from finola_codec.entropy import fixed
from finola_codec.errors import ConfigError, TrainingError
from finola_codec.nn.export import TRAINING
from finola_codec.nn.model import Codec
from finola_codec.nn.restore import restore
from finola_codec.profiles import FINOLA_TINY
from finola_codec.runtime.manifest import DECODER, DECODER_GRID
from finola_codec.training import loop
from finola_codec.training.cache import build_cache, ensure_cache
from finola_codec.training.codec import start
from finola_codec.training.coder import Coder
from finola_codec.training.config import MS_SSIM_CROP, TrainConfig, load_config
from finola_codec.training.data import Pictures, generators
from finola_codec.training.files import HeldOut
from finola_codec.training.loop import Trainer
from finola_codec.training.pack import pack
from finola_codec.training.resident import ResidentPictures

CONFIG = TrainConfig(FINOLA_TINY, steps=6, cooldown=0.4, batch=2, crop=64, held_out=1, validate_every=3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "deep").mkdir()
    for i in range(12):
        Image.fromarray(skimage.data.astronaut()[i * 30 :, i * 20 :]).save(folder / "deep" / f"{i}.png")
    Image.new("RGB", (20, 20)).save(folder / "small.png")
    (folder / "broken.jpg").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def pictures(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    cache = tmp_path_factory.mktemp("cache")
    build_cache(data, cache, CONFIG.crop)
    return Pictures.open(cache, CONFIG.held_out)


def test_cache_holds_the_pictures(pictures: Pictures) -> None:
    assert (len(pictures.train), len(pictures.held_out)) == (11, 1)
    assert any((p == skimage.data.astronaut()[30:, 20:]).all() for p in pictures.train if p.shape == (482, 492, 3))


def test_a_cache_of_other_pictures_is_refused(data: Path, tmp_path: Path) -> None:
    ensure_cache(data, tmp_path / "cache", 64)
    ensure_cache(data, tmp_path / "cache", 48)
    with pytest.raises(ConfigError, match=r"cache: holds the pictures of .*, not of .*other; name another"):
        ensure_cache(data / "other", tmp_path / "cache", 64)
    with pytest.raises(ConfigError, match="cache: holds pictures of 64 pixels a side, less than crops of 128"):
        ensure_cache(data, tmp_path / "cache", 128)


def test_pictures_are_decoded_as_encode_has_them(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    ramp = np.linspace(0, 65535, 64 * 64, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "data" / "16-bit.png")
    build_cache(tmp_path / "data", tmp_path / "cache", 64)
    (pixels,) = Pictures.open(tmp_path / "cache", 0).train
    assert np.abs(pixels[..., 0] - ramp / 257).max() <= 1


def test_crops_come_from_the_generator_alone(pictures: Pictures) -> None:
    first, again, other = (pictures.batch(generators(3, s), 64) for s in (1, 1, 2))
    assert first.shape == (3, 3, 64, 64)
    assert -0.5 <= first.min() < first.max() <= 0.5
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_crops_are_reduced_up_to_the_factor_and_the_picture() -> None:
    ramp = np.broadcast_to(np.arange(160, dtype=np.uint8)[None, :, None], (160, 160, 3))

    def slopes(reduce: float, size: int) -> list[float]:
        crops = Pictures([ramp], []).batch(generators(24, 1), size, reduce) * 255
        return [max(abs(c[0, 8, 16] - c[0, 8, 8]), abs(c[0, 16, 8] - c[0, 8, 8])).item() / 8 for c in crops]

    assert slopes(1.0, 64) == pytest.approx([1] * 24)
    reduced = slopes(2.0, 64)
    assert min(reduced) == pytest.approx(1)
    assert 1.5 < max(reduced) <= 2.1
    assert max(slopes(2.0, 128)) <= 160 / 128 * 1.1


def test_crops_from_the_memory_of_a_device_are_the_same(pictures: Pictures) -> None:
    resident = ResidentPictures.of(pictures, torch.device("cpu"))
    assert torch.equal(resident.batch(generators(6, 1), 64), pictures.batch(generators(6, 1), 64))
    one, other = (p.batch(generators(6, 1), 64, reduce=2.5) for p in (resident, pictures))
    assert (one - other).square().mean() < 0.01 * other.var()  # bicubic and Lanczos filters differ


def test_pictures_are_packed_into_parts(data: Path, tmp_path: Path) -> None:
    sizes = {p.relative_to(data): p.stat().st_size for p in data.rglob("*") if p.is_file()}
    most = max(sizes.values()) + 1
    parts = pack(data, tmp_path / "parts", most)
    packed = [{p.relative_to(part): p.stat().st_size for p in part.rglob("*") if p.is_file()} for part in parts]
    assert all(sum(part.values()) <= most for part in packed)
    assert {name: size for part in packed for name, size in part.items()} == sizes
    assert sum(map(len, packed)) == len(sizes)
    for source, folder, size in ((data, "parts", most), (data, "other", 1000), (tmp_path / "parts" / "none", "x", 9)):
        with pytest.raises(ConfigError, match=folder if folder == "parts" else "more than a part|no pictures"):
            pack(source, tmp_path / folder, size)


def test_a_resumed_run_equals_one_that_was_not_interrupted(pictures: Pictures, tmp_path: Path) -> None:
    whole = start(CONFIG, tmp_path / "whole", pictures, resume=False)
    whole.train()
    start(CONFIG, tmp_path / "parts", pictures, resume=False).train(max_steps=2)
    resumed = start(CONFIG, tmp_path / "parts", pictures, resume=True)
    assert resumed.step == 2
    resumed.train()
    for a, b in ((whole.model.module, resumed.model.module), (whole.ema, resumed.ema)):
        for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            assert torch.equal(x, y), name
    rows = list(csv.DictReader((tmp_path / "parts" / "log.csv").open()))
    assert [int(r["step"]) for r in rows] == [1, 2, 3, 4, 5, 6]
    assert {"bpp", "psnr", "loss"} < set(rows[0])
    assert list((tmp_path / "parts" / "tensorboard").iterdir())


def test_a_run_is_not_overwritten(pictures: Pictures, tmp_path: Path) -> None:
    start(CONFIG, tmp_path / "run", pictures, resume=False).train(max_steps=1)
    with pytest.raises(ConfigError, match="--resume"):
        start(CONFIG, tmp_path / "run", pictures, resume=False)
    with pytest.raises(ConfigError, match="no checkpoint"):
        start(CONFIG, tmp_path / "other", pictures, resume=True)


@pytest.mark.slow
def test_training_lowers_the_loss(pictures: Pictures, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=300, cooldown=0.3, batch=4, lr=3e-3, ema=0.9, validate_every=300)
    trainer = start(config, tmp_path / "run", pictures, resume=False)
    before = trainer.validate()[0]["loss"]  # at a low quality, where the tiny codec's few channels suffice
    trainer.train()
    assert trainer.validate()[0]["loss"] < 0.97 * before


def test_outliers_are_skipped(pictures: Pictures, tmp_path: Path) -> None:
    trainer = start(replace(CONFIG, steps=50), tmp_path / "run", pictures, resume=False)
    trainer.objectives.extend([1e-6] * 30)
    before = [p.clone() for p in trainer.model.parameters()]
    trainer.train(max_steps=1)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


def test_a_run_that_has_diverged_ends(pictures: Pictures, tmp_path: Path) -> None:
    trainer = start(replace(CONFIG, steps=500), tmp_path / "run", pictures)
    with torch.no_grad():
        trainer.model.module.decoder.head.bias.fill_(torch.nan)
    with pytest.raises(TrainingError, match="25 steps in a row had to be skipped"):
        trainer.train()
    assert trainer.step == 25


def test_a_validation_measures_real_files(pictures: Pictures, tiny_model: Model, tmp_path: Path) -> None:
    """Against the model that the run starts from, by files that another implementation of the transforms reads."""
    config = replace(CONFIG, origin=str(tiny_model.folder))
    codec = restore(tiny_model.folder)
    start(config, tmp_path / "run", pictures, init=codec).train(max_steps=3)
    rows = list(csv.DictReader((tmp_path / "run" / "files.csv").open()))
    assert {row["step"] for row in rows} == {"3"}
    assert len(list((tmp_path / "run" / "strips").glob("*.png"))) == 1
    held_out = HeldOut(pictures.held_out_samples(1, 64), tiny_model, others=())
    found = held_out.check(codec)
    for ours, theirs in zip(found.records, held_out.records, strict=True):
        assert ours["bpp"] == pytest.approx(theirs["bpp"], rel=0.02)
        assert ours["psnr"] == pytest.approx(theirs["psnr"], abs=0.1)
    assert abs(found.bd_rates[f"{tiny_model.name}, effort 1"]) < 2


def test_learning_rate_warms_up_and_cools_down() -> None:
    config = TrainConfig(steps=100, cooldown=0.2, warmup=0.1, lr=1.0)
    rates = [config.rate(config.progress(step, 0)) for step in (0, 5, 50, 79, 90, 100)]
    assert rates == pytest.approx([0.01, 0.51, 1, 1, 0.5, 0], abs=1e-9)


def test_the_schedule_fits_the_minutes(pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count()
    monkeypatch.setattr(loop, "time", Mock(perf_counter=lambda: float(next(seconds)), monotonic=time.monotonic))
    config = replace(CONFIG, minutes=0.05, cooldown=0.9, warmup=0.0)
    trainer = start(config, tmp_path / "run", pictures)
    trainer.train()
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert trainer.progress == 1
    assert trainer.seconds == 3  # of one second a step, as the clock here has it
    assert len(rows) == 4  # which count from the next step on
    assert float(rows[-1]["lr"]) < 0.5 * float(rows[0]["lr"])


def moved(trainer: Trainer, before: Codec) -> set[str]:
    """The names of the parameters that training has changed."""
    now = trainer.model.module.named_parameters()
    return {name for name, value in now if not torch.equal(value, before.get_parameter(name))}


def test_a_tuned_run_trains_its_part_of_the_encoder_alone(
    pictures: Pictures, tiny_model: Model, tmp_path: Path
) -> None:
    before = restore(tiny_model.folder)
    config = replace(CONFIG, tune="ssim", crop=MS_SSIM_CROP, steps=2, validate_every=2, warmup=0.0)
    trainer = start(config, tmp_path / "run", pictures, init=restore(tiny_model.folder))
    trainer.train()
    own = {id(p) for part in trainer.model.module.tuned() for p in part.parameters()}
    tuned = {name for name, value in trainer.model.module.named_parameters() if id(value) in own}
    assert moved(trainer, before) == tuned
    with pytest.raises(ConfigError, match="tune=ssim trains a part of a model's encoder: name the model with --from"):
        start(config, tmp_path / "other", pictures)
    with pytest.raises(ConfigError, match="crop is 64; it must be at least 176 for MS-SSIM"):
        replace(config, crop=64)


def test_a_run_of_the_decoder_trains_it_alone(pictures: Pictures, tiny_model: Model, tmp_path: Path) -> None:
    before = restore(tiny_model.folder)
    config = replace(CONFIG, part="decoder", origin=str(tiny_model.folder), steps=2, validate_every=2, warmup=0.0)
    trainer = start(config, tmp_path / "run", pictures, init=restore(tiny_model.folder))
    trainer.train()
    parts = {name.partition(".")[0] for name in moved(trainer, before)}
    assert parts == {"decoder"}
    assert torch.equal(trainer.model.module.decoder.lapped.weight, before.get_parameter("decoder.lapped.weight"))
    with pytest.raises(ConfigError, match="part=decoder trains the decoder of a model: name the model with --from"):
        start(replace(config, origin=""), tmp_path / "other", pictures)
    with pytest.raises(ConfigError, match="part is decoder; it must be all where tune is not psnr"):
        replace(config, tune="ssim", crop=MS_SSIM_CROP)


def test_crops_are_coded_as_encoding_codes_them(pictures: Pictures, tiny_model: Model) -> None:
    x = pictures.held_out_crops(64)
    coded, position = Coder(tiny_model)(x, torch.tensor([0.3001]))
    assert position.tolist() == pytest.approx([quality.position(31)])
    data = encode(Image.fromarray(pictures.held_out_samples(1, 64)[0]), 31, model=tiny_model, layer="off")
    chunks = info(data).chunks
    assert coded.bits.tolist() == [8 * (chunks["hyper vectors"] + chunks["vectors"])]
    given = coded.y[0].permute(1, 2, 0).numpy() * fixed.ONE
    assert hashlib.sha256(given.astype("<i4").tobytes()).hexdigest() == fingerprint(data, model=tiny_model)


def test_configuration_files(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('steps = 7\n[profile]\nbase = "finola-tiny"\ndecoder_depth = 3\n')
    config = load_config(path)
    assert (config.steps, config.profile) == (7, replace(FINOLA_TINY, decoder_depth=3))
    for text, message in (
        ("stepz = 3", "unknown fields stepz"),
        ("steps =", r"config\.toml"),
        ('profile = "x"', "'x'"),
        ('steps = "many"', r"config\.toml: steps is 'many', which is not of type int"),
        ("crop = 60", r"config\.toml: crop is 60; it must be a multiple of the block, 16"),
        ("batch = 0", "batch is 0; it must be at least 1"),
        ('tune = "vmaf"', r"config\.toml: tune is 'vmaf', not one of psnr, ssim"),
        ("[profile]\nchannels = 3", "do not add up"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_config(path)


def test_settings_of_the_command_line(tmp_path: Path) -> None:
    config = load_config(settings=["profile=finola-tiny", "batch=4", "lr=1e-4", "profile.decoder_depth=3"])
    assert (config.batch, config.lr, config.profile) == (4, 1e-4, replace(FINOLA_TINY, decoder_depth=3))
    for setting, message in (("batch", "FIELD=VALUE"), ("batch=x", "--set batch=x: batch is 'x'"), ("x=1", "unknown")):
        with pytest.raises(ConfigError, match=message):
            load_config(settings=[setting])
    assert load_config(start_from=FINOLA_TINY).lr < TrainConfig().lr


def test_a_resumed_run_keeps_its_profile_and_its_files(pictures: Pictures, tmp_path: Path) -> None:
    start(CONFIG, tmp_path / "run", pictures).train(max_steps=1)
    before = (tmp_path / "run" / "config.json").read_text()
    with pytest.raises(ConfigError, match="another profile"):
        start(replace(CONFIG, profile=replace(FINOLA_TINY, decoder_depth=2)), tmp_path / "run", pictures, resume=True)
    assert (tmp_path / "run" / "config.json").read_text() == before
    assert load_config(resumed=tmp_path / "run") == CONFIG


def test_more_residual_blocks_start_as_the_identity(pictures: Pictures, tmp_path: Path) -> None:
    old = start(CONFIG, tmp_path / "old", pictures)
    deeper = replace(FINOLA_TINY, decoder_depth=2, encoder_depths=(1, 2, 2), refine_depth=2)
    new = start(replace(CONFIG, profile=deeper), tmp_path / "new", pictures, init=old.ema)
    assert [r["loss"] for r in new.validate()] == pytest.approx([r["loss"] for r in old.validate()], rel=1e-3)
    with pytest.raises(ConfigError, match="other sizes"):
        start(replace(CONFIG, profile=replace(FINOLA_TINY, decoder_width=32)), tmp_path / "x", pictures, init=old.ema)


def test_lists_of_paths_and_shards(data: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n".join(str(data / "deep" / f"{i}.png") for i in range(3)) + "\n\n")
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for i in range(4):
            shard.add(data / "deep" / f"{i}.png", f"{i}.png")
    for source, count in (("list.txt", 3), ("shard.tar", 4)):
        build_cache(tmp_path / source, tmp_path / source[:4], 64)
        opened = Pictures.open(tmp_path / source[:4], 0)
        assert len(opened.train) == count
        assert any((p == skimage.data.astronaut()[30:, 20:]).all() for p in opened.train if p.shape == (482, 492, 3))


def test_a_cache_without_room_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Mock(free=1_000_000))
    with pytest.raises(ConfigError, match=r"take 0\.0 GB and the disk has 0\.0 GB left; name a larger disk"):
        build_cache(data, tmp_path / "cache", 64)


def test_graphics_are_held_out_by_kind_and_never_reduced(tmp_path: Path) -> None:
    for kind, count in (("graphics/charts", 20), ("graphics/text", 10), ("photos", 10)):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (96, 80), (i, i, i)).save(tmp_path / "data" / kind / f"{i:02}.png")
    build_cache(tmp_path / "data", tmp_path / "cache", 64)
    opened = Pictures.open(tmp_path / "cache", 1)
    assert (len(opened.train), len(opened.held_out), len(opened.graphics)) == (9, 1, 27)
    assert {kind: len(images) for kind, images in opened.held_out_graphics.items()} == {"charts": 2, "text": 1}
    assert opened.held_out_graphics_crops(16)["text"][0].shape == (1, 3, 80, 96)


def _command(data: Path, run: Path, *extra: str) -> list[str]:
    fields = ("profile=finola-tiny", "batch=2", "crop=64", "held_out=1", "validate_every=1000", "threads=1")
    settings = [word for setting in fields for word in ("--set", setting)]
    return ["train", str(data), "--out", str(run), *settings, *extra]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_signals_save_the_run(data: Path, tmp_path: Path, number: int, code: int) -> None:
    run = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-m", "finola_codec", *_command(data, run, "--steps", "100000")])
    deadline = time.monotonic() + 120
    while not (run / "log.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(3)
    process.send_signal(number)
    assert process.wait(60) == code
    assert torch.load(run / "checkpoint.pt", weights_only=True)["step"] > 0


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
    run = tmp_path / "run"
    train = ["train", str(data), "--out", str(run), "--config", str(config)]
    for extra in (["--max-steps", "2"], ["--resume", "--max-minutes", "1"]):
        done = CliRunner().invoke(main, train + extra)
        assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, ["export", str(run), str(tmp_path / "my-model"), "--licence", "CC0-1.0"])
    assert done.exit_code == 0, done.output
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
    model, run = tmp_path / "my", tmp_path / "run"
    started = ["train", str(data), "--out", str(run), "--from", str(tiny_model.folder), "--set", "part=decoder"]
    done = CliRunner().invoke(main, [*started, "--set", "crop=64", "--set", "batch=2", "--steps", "2"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, ["export", str(run), str(model), "--licence", "CC0-1.0"])
    assert done.exit_code == 0, done.output
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
    model, run = tmp_path / "my", tmp_path / "run"
    shutil.copytree(tiny_model.folder, model)
    started = ["train", str(data), "--out", str(run), "--from", str(model), "--set", "tune=ssim", "--steps", "2"]
    done = CliRunner().invoke(main, [*started, "--set", f"crop={MS_SSIM_CROP}", "--set", "batch=2"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, ["export", str(run), str(model)])
    assert done.exit_code == 0, done.output
    assert f"{tiny_model.id.hex()} has an encoder for ssim, 2 training steps" in done.output
    card = (model / "MODEL_CARD.md").read_text()
    assert card.startswith("A model for tests.")
    assert "BD-rate by MS-SSIM against finola-tiny" in card
    picture = tmp_path / "a.png"
    Image.fromarray(skimage.data.coffee()[:64, :80]).save(picture)
    arguments = ["encode", str(picture), str(tmp_path / "a.fin"), "--tune", "ssim", "--model"]
    assert CliRunner().invoke(main, [*arguments, str(model)]).exit_code == 0
    assert decode((tmp_path / "a.fin").read_bytes(), model=tiny_model).size == (80, 64)
    done = CliRunner().invoke(main, [*arguments, str(tiny_model.folder), "--force"])
    assert done.exit_code == 2
    assert "has no encoder for ssim" in done.output
    done = CliRunner().invoke(main, ["export", str(run), str(model)])
    assert done.exit_code == 2
    assert "has an encoder for ssim already; replace it with --force" in done.output
