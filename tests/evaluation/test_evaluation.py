"""The whole evaluation: sweeps, their resumption and engines, reports, known figures."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage.data
from click.testing import CliRunner
from PIL import Image

import finola_codec
from finola_codec import Model, load_model
from finola_codec.cli import main
from finola_codec.errors import ConfigError, ImageError
from finola_codec.evaluation import pictures, sweep
from finola_codec.evaluation.codecs import JPEG, KNOWN, PillowCodec, find
from finola_codec.evaluation.compare import at_bytes, caption, side_by_side
from finola_codec.evaluation.metrics import measure
from finola_codec.parallel import Engine
from tests.conftest import psnr

TIMES = ("encode_s", "decode_s")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures")
    Image.fromarray(skimage.data.astronaut()[100:300, 100:300]).save(path / "a.png")
    (path / "deep").mkdir()
    Image.fromarray(skimage.data.coffee()[:190, :180]).save(path / "deep" / "b.png")
    (path / "bad.png").write_bytes(b"bad")
    return path


def plan(tiny_model: Model) -> sweep.Plan:
    return sweep.Plan(("jpeg",), (str(tiny_model.folder),))


def measured(out: Path) -> list[dict]:
    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if k not in TIMES} for r in records]


def test_a_sweep_measures_everything_and_resumes(folder: Path, tiny_model: Model, tmp_path: Path) -> None:
    found = pictures.find(str(folder))
    assert [p.name for p in found] == ["a.png", "bad.png", "deep/b.png"]
    records = list(sweep.run(found, plan(tiny_model), tmp_path, Engine()))
    settings = sum(len(c.settings) for c in plan(tiny_model).open())
    assert len([r for r in records if "error" not in r]) == 2 * settings
    assert [r["image"] for r in records if "error" in r] == ["bad.png"]
    metrics = {"bytes", "bpp", "psnr", "psnr_y", "ssim", "ms_ssim", "ssimulacra2", *TIMES}
    common = {"image", "resize", "crop", "codec", "setting", "version", *metrics}
    ours, others = ([r for r in records if r.get("codec") == name] for name in ("finola-tiny", "jpeg"))
    assert set(others[0]) == common
    assert set(ours[0]) == common | {"model_id", "model_sha256", "format", "effort", "device"}
    assert ours[0]["model_id"] == tiny_model.id.hex()
    whole = measured(tmp_path)

    lines = (tmp_path / "results.jsonl").read_text().splitlines(keepends=True)
    cut = "".join(lines[:7]) + lines[7][:20] + "".join(lines[8:12]) + lines[12][:20]  # interrupted within lines, twice
    (tmp_path / "results.jsonl").write_text(cut)
    again = list(sweep.run(found, plan(tiny_model), tmp_path, Engine()))
    assert len([r for r in again if "error" not in r]) == 2 * settings - 10
    held = [{k: v for k, v in r.items() if k not in TIMES} for r in sweep.results(found, plan(tiny_model), tmp_path)]
    by_codec = sorted((r for r in whole if "error" not in r), key=lambda r: r["codec"])
    assert held == [*by_codec, *(r for r in whole if "error" in r)]


def test_results_of_other_settings_are_kept_apart(folder: Path, tiny_model: Model, tmp_path: Path) -> None:
    found = pictures.find(str(folder))
    first = replace(plan(tiny_model), qualities=(20, 60))
    for number, chosen in enumerate(
        (first, replace(first, crop=64), replace(first, resize=90), replace(first, crop=64))
    ):
        new = [r for r in sweep.run(found, chosen, tmp_path, Engine()) if "error" not in r]
        assert len(new) == (0 if number == 3 else 2 * (2 + 12))
        held = sweep.results(found, chosen, tmp_path)
        assert {(r["resize"], r["crop"]) for r in held} == {(chosen.resize, chosen.crop)}
        assert len(held) == 2 * (2 + 12) + 1
    assert len(sweep.results(found[:1], replace(first, qualities=(60,)), tmp_path)) == 1 + 12


def test_results_of_other_weights_are_kept_apart(folder: Path, tiny_model: Model, tmp_path: Path) -> None:
    """Of another encoder, too, whose files the same decoder reads."""
    found = pictures.find(str(folder / "a.png"))
    shutil.copytree(tiny_model.folder, tmp_path / "other")
    encoder = onnx.load(tmp_path / "other" / "encoder.onnx")
    for tensor in encoder.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype.kind == "f":
            tensor.CopyFrom(onnx.numpy_helper.from_array((values * 0.8).astype(values.dtype), tensor.name))
    onnx.save(encoder, tmp_path / "other" / "encoder.onnx")
    tiny_model.manifest.write(tmp_path / "other")
    other = load_model(tmp_path / "other")
    assert (other.name, other.id) == (tiny_model.name, tiny_model.id)
    for model in (tiny_model, other, tiny_model):
        chosen = sweep.Plan((), (str(model.folder),), qualities=(60,))
        new = list(sweep.run(found, chosen, tmp_path / "out", Engine()))
        (held,) = sweep.results(found, chosen, tmp_path / "out")
        data = finola_codec.encode(found[0].read(), 60, model=model)
        assert held["bytes"] == len(data)
    assert new == []
    with pytest.raises(ConfigError, match="two of the codecs are called finola-tiny"):
        sweep.Plan((), (str(tiny_model.folder), str(other.folder))).open()
    with pytest.raises(ConfigError, match="none of the models has an encoder for ssim"):
        sweep.Plan((), (str(tiny_model.folder),), tunes=("psnr", "ssim")).open()


def test_a_picture_that_can_be_read_again_is_no_longer_an_error(
    photo: Image.Image, tiny_model: Model, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"bad")
    found, chosen = pictures.find(str(tmp_path / "a.png")), sweep.Plan(("jpeg",), ())
    for _ in range(2):
        assert len(list(sweep.run(found, chosen, tmp_path, Engine()))) == 1
        assert [r["error"] for r in sweep.results(found, chosen, tmp_path)]
    photo.save(tmp_path / "a.png")
    list(sweep.run(found, chosen, tmp_path, Engine()))
    assert not [r for r in sweep.results(found, chosen, tmp_path) if "error" in r]


def test_other_lines_are_not_results(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text('{"prompt": "a"}\n')
    with pytest.raises(ConfigError, match="holds no results of eval"):
        list(sweep.run(pictures.find(str(folder)), sweep.Plan(("jpeg",), ()), tmp_path, Engine()))


def test_efforts_are_codecs_of_their_own(folder: Path, tiny_model: Model, tmp_path: Path) -> None:
    chosen = replace(plan(tiny_model), codecs=(), efforts=(0, 1, 5), qualities=(60,))
    records = list(sweep.run(pictures.find(str(folder))[:1], chosen, tmp_path, Engine()))
    assert [r["codec"] for r in records] == ["finola-tiny, effort 0", "finola-tiny, effort 1", "finola-tiny"]
    assert records[0]["bytes"] > records[1]["bytes"]


@pytest.mark.slow
@pytest.mark.parametrize("engine", [Engine(workers=2), Engine(workers=2, ray=True)], ids=["processes", "ray"])
def test_engines_agree(folder: Path, tiny_model: Model, tmp_path: Path, engine: Engine) -> None:
    if engine.ray:
        pytest.importorskip("ray")
    found = pictures.find(str(folder))
    for where, out in ((Engine(), tmp_path / "one"), (engine, tmp_path / "many")):
        list(sweep.run(found, plan(tiny_model), out, where))
    assert measured(tmp_path / "one") == measured(tmp_path / "many")


def test_sources(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(f"{folder / 'a.png'}\n\n")
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        shard.add(folder / "deep" / "b.png", "0001.png")
        shard.addfile(tarfile.TarInfo("0001.cls"), io.BytesIO())
    expected = np.asarray(Image.open(folder / "deep" / "b.png"))
    (picture,) = pictures.find(str(tmp_path / "shard.tar"))
    assert picture.name == "0001.png"
    assert (np.asarray(picture.read()) == expected).all()
    assert [p.path for p in pictures.find(str(tmp_path / "list.txt"))] == [folder / "a.png"]
    assert len(pictures.find(str(folder / "**" / "*.png"))) == 3
    with pytest.raises(ConfigError, match="no picture"):
        pictures.find(str(folder / "*.gif"))


def test_resize_and_crop_are_the_papers_protocol(folder: Path) -> None:
    (_, _, picture) = pictures.find(str(folder))
    assert picture.read(resize=90).size == (90, 95)
    assert picture.read(resize=90, crop=64).size == (64, 64)
    with pytest.raises(ImageError, match="less than the crop's 91"):
        picture.read(resize=90, crop=91)
    with pytest.raises(ImageError, match="would be resized to"):
        picture.read(resize=10**6)


def test_metadata_does_not_count(photo: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description" * 50
    photo.save(tmp_path / "a.png", icc_profile=b"a profile" * 100, exif=exif)
    (picture,) = pictures.find(str(tmp_path / "a.png"))
    read = picture.read()
    assert read.info == {}
    assert not read.getexif()


def test_a_picture_of_16_bits_is_the_one_that_is_encoded(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    (picture,) = pictures.find(str(tmp_path / "a.png"))
    assert np.array_equal(np.asarray(picture.read())[..., 0], np.rint(ramp / 257))


@pytest.mark.parametrize("name", list(KNOWN))
def test_every_codec_keeps_a_picture_and_its_scale_rises(name: str, photo: Image.Image) -> None:
    try:
        (codec,) = find([name], [])
    except ConfigError as error:
        pytest.skip(str(error))
    files = [codec.encode(photo, s) for s in (codec.settings[1], codec.settings[-1])]
    assert len(files[0]) < len(files[1])
    quality = [psnr(photo, codec.decode(f)) for f in files]
    assert 15 < quality[0] < quality[1]
    assert quality[1] > 33


def test_unknown_codecs_are_refused() -> None:
    with pytest.raises(ConfigError, match="jpeg, webp"):
        find(["gif"], [])


def test_metrics_of_known_pictures(photo: Image.Image) -> None:
    same = measure(photo, photo)
    assert (same["psnr"], same["ssim"], same["ms_ssim"]) == (100.0, pytest.approx(1), pytest.approx(1))
    assert same["ssimulacra2"] == pytest.approx(100)
    a = np.full((200, 200, 3), 100, np.uint8)
    found = measure(Image.fromarray(a), Image.fromarray(a + 5))
    assert found["psnr"] == pytest.approx(10 * np.log10(255**2 / 25))
    assert measure(Image.fromarray(a[:90]), Image.fromarray(a[:90]))["ms_ssim"] is None
    assert measure(Image.fromarray(a[:7]), Image.fromarray(a[:7]))["ssimulacra2"] is None


def test_ssimulacra2_falls_as_jpegs_get_worse(photo: Image.Image) -> None:
    values = [measure(photo, JPEG.decode(JPEG.encode(photo, quality)))["ssimulacra2"] for quality in (90, 50, 10)]
    assert 90 > values[0] > 70 > values[1] > 45 > values[2]


@pytest.mark.slow
@pytest.mark.parametrize(("quality", "bpp", "db"), [(5, 0.141, 23.85), (10, 0.256, 26.67), (30, 0.610, 30.49)])
def test_pillows_jpeg_on_kodak_is_as_published(kodak: list[Path], quality: int, bpp: float, db: float) -> None:
    rates, qualities = [], []
    for path in kodak:
        image = Image.open(path).convert("RGB")
        data = JPEG.encode(image, quality)
        rates.append(8 * len(data) / (image.width * image.height))
        qualities.append(psnr(image, JPEG.decode(data)))
    assert np.mean(rates) == pytest.approx(bpp, abs=0.002)
    assert np.mean(qualities) == pytest.approx(db, abs=0.03)


def test_at_bytes_uses_them_up_without_exceeding(photo: Image.Image) -> None:
    data = at_bytes(JPEG, photo, 9000)
    assert 8000 < len(data) <= 9000
    assert len(at_bytes(JPEG, photo, 10)) == len(JPEG.encode(photo, JPEG.settings[0]))
    assert isinstance(JPEG, PillowCodec)


def test_eval_command_writes_the_report(folder: Path, tiny_model: Model, tmp_path: Path) -> None:
    reference = tmp_path / "published.json"
    reference.write_text(json.dumps({"curves": {"old": {"points": [[0.1, 20.0], [0.5, 24.0], [1.2, 28.0]]}}}))
    out = tmp_path / "out"
    arguments = ["eval", str(folder), "--out", str(out), "--codecs", "jpeg,webp", "--published", str(reference)]
    ours = ["--model", str(tiny_model.folder), *(f"--quality={quality}" for quality in (90, 20, 60, 20))]
    done = CliRunner().invoke(main, [*arguments, "--no-html", *ours])
    assert done.exit_code == 0, done.output
    summary = json.loads((out / "summary.json").read_text())
    assert summary["images"] == 2
    results = map(json.loads, (out / "results.jsonl").read_text().splitlines())
    ours_at = sorted(r["setting"] for r in results if r.get("codec") == tiny_model.name)
    assert ours_at == [20, 20, 60, 60, 90, 90]  # of two pictures
    assert [r["image"] for r in summary["unreadable"]] == ["bad.png"]
    assert summary["bd_rate"]["psnr"]["jpeg"]["webp"]["rate"] < 0
    assert "old" in summary["bd_rate_published"]
    for name in ("psnr.png", "psnr.svg", "ms_ssim.png", "curves.csv"):
        assert (out / name).stat().st_size > 500


def test_compare_command(folder: Path, tiny_model: Model, tmp_path: Path) -> None:
    arguments = ["compare", str(folder / "a.png"), str(tmp_path / "sheet.png"), "--model", str(tiny_model.folder)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    sheet, picture = Image.open(tmp_path / "sheet.png"), np.asarray(Image.open(folder / "a.png"))
    assert sheet.height == 218
    assert np.array_equal(np.asarray(sheet)[18:, :200], picture)
    assert side_by_side([("a", Image.open(folder / "a.png"))] * 3).size == (3 * 200 + 2 * 8, 218)
    refused = CliRunner().invoke(main, [*arguments[:2], "sheet.jpg", *arguments[3:]])
    assert (refused.exit_code, "compare writes a PNG" in refused.output) == (2, True)


def test_compare_says_that_bytes_are_not_equal() -> None:
    assert caption("jpeg", 11_649, 3_433, 20.0) == "jpeg: 11,649 bytes, NOT EQUAL, 20.00 dB"
    assert caption("jpeg", 3_400, 3_433, 20.0) == "jpeg: 3,400 bytes, 20.00 dB"


def test_compare_turns_a_picture_upright(tiny_model: Model, photo: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.crop((0, 0, 200, 100)).save(tmp_path / "a.jpg", exif=exif)
    arguments = ["compare", str(tmp_path / "a.jpg"), str(tmp_path / "sheet.png"), "--model", str(tiny_model.folder)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    sheet, upright = (
        np.asarray(Image.open(tmp_path / "sheet.png")),
        Image.open(tmp_path / "a.jpg").rotate(-90, expand=True),
    )
    assert upright.size == (100, 200)
    assert np.array_equal(sheet[18:, :100], np.asarray(upright))


def test_compare_writes_nothing_but_the_picture_to_standard_output(
    folder: Path, tiny_model: Model, tmp_path: Path
) -> None:
    done = CliRunner().invoke(main, ["compare", str(folder / "a.png"), "-", "--model", str(tiny_model.folder)])
    assert done.stdout_bytes.endswith(b"IEND\xaeB`\x82")


def test_eval_does_not_write_among_other_files(folder: Path, tiny_model: Model, tmp_path: Path) -> None:
    (tmp_path / "psnr.png").write_bytes(b"precious")
    arguments = ["eval", str(folder), "--out", str(tmp_path), "--codecs", "jpeg", "--no-html"]
    arguments += ["--model", str(tiny_model.folder)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "holds other files" in done.output
    assert (tmp_path / "psnr.png").read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir()] == ["psnr.png"]
    assert CliRunner().invoke(main, [*arguments, "--force"]).exit_code == 0
    assert CliRunner().invoke(main, arguments).exit_code == 0  # the folder is the evaluation's now


def test_eval_complains_of_what_it_cannot_use(folder: Path, tiny_model: Model, tmp_path: Path) -> None:
    (tmp_path / "published.json").write_text('{"curves": [1]}')
    arguments = ["eval", str(folder / "bad.png"), "--out", str(tmp_path / "out"), "--codecs", "jpeg", "--no-html"]
    arguments += ["--model", str(tiny_model.folder)]
    for extra, message in (
        ([], "no picture could be read"),
        (["--published", str(tmp_path / "published.json")], "holds no published curves"),
    ):
        done = CliRunner().invoke(main, arguments + extra)
        assert done.exit_code == 2, done.output
        assert message in done.output
