"""Every method: shapes, what it sees, what its loss is over, resumption."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from finola_codec.errors import ConfigError
from finola_codec.pretraining.config import PretrainConfig
from finola_codec.pretraining.fast_itpn import migration
from finola_codec.pretraining.hivit import HiViT, to_units
from finola_codec.pretraining.itpn import ITPN, Pyramid
from finola_codec.pretraining.method import PATCH, Prediction, places, to_patches
from finola_codec.pretraining.methods import METHODS, build, load, start
from finola_codec.pretraining.objective import Reconstruction, masked_error
from finola_codec.pretraining.probe import flops
from finola_codec.pretraining.qb_heat import QBHeat
from finola_codec.pretraining.quadrants import Quadrant
from finola_codec.training.config import with_settings
from finola_codec.training.data import Pictures
from tests.pretraining.conftest import tiny

MASKED = [name for name in METHODS if name != "finola"]


@pytest.mark.parametrize("name", METHODS)
def test_shapes(name: str, crops: torch.Tensor) -> None:
    method = build(tiny(name))
    x = crops[:2, :, :64, :64]
    prediction = method(x, method.tell(x))
    assert prediction.patches.shape == (2, 4, 4, PATCH)
    assert prediction.masked.shape[1:] == (4, 4)
    assert prediction.masked.float().mean() == (1 if name == "finola" else 0.75)
    assert method.features(crops[:3]).shape[:2] == (3, 64)


@pytest.mark.parametrize("name", MASKED)
def test_masked_pixels_are_never_seen(name: str, crops: torch.Tensor) -> None:
    """Other pixels where the mask is change nothing, and other pixels where it is not change the prediction."""
    method = build(tiny(name))
    torch.nn.init.normal_(method.to_pixels.weight)  # is zero before training
    x = crops[:2, :, :64, :64]
    told = method.tell(x)
    torch.manual_seed(5)
    before = method(x, told)
    masked = before.masked.expand(2, 4, 4)[:, None].repeat_interleave(16, 2).repeat_interleave(16, 3)  # (2, 1, 64, 64)
    other = torch.rand_like(x) - 0.5
    for changed, same in ((masked, True), (~masked, False)):
        torch.manual_seed(5)
        after = method(torch.where(changed, other, x), told)
        assert torch.equal(before.masked, after.masked)
        assert torch.equal(before.patches, after.patches) is same


def test_the_loss_is_over_the_mask_alone() -> None:
    x = torch.rand(2, 3, 64, 64) - 0.5
    masked = Quadrant(1, 1, 2, 2).masked()
    wrong = to_patches(x) + torch.where(masked, 0.0, 1.0)[..., None]  # wrong everywhere but where it is masked
    assert masked_error(Prediction(wrong, masked), x).tolist() == [0, 0]
    wrong = to_patches(x) + torch.where(masked, 0.5, 0.0)[..., None]
    torch.testing.assert_close(masked_error(Prediction(wrong, masked), x), torch.full((2,), 0.25))


@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_run_equals_one_that_was_not_interrupted(name: str, pictures: Pictures, tmp_path: Path) -> None:
    config = tiny(name)
    whole = start(config, tmp_path / "whole", pictures)
    whole.train()
    start(config, tmp_path / "parts", pictures).train(max_steps=3)
    resumed = start(config, tmp_path / "parts", pictures, resume=True)
    resumed.train()
    for a, b in ((whole.model.module, resumed.model.module), (whole.ema, resumed.ema)):
        for (key, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
            assert torch.equal(x, y), key
    validated = list(csv.DictReader((tmp_path / "whole" / "validation.csv").open()))
    assert [row["step"] for row in validated] == ["2", "4"]
    assert not (tmp_path / "whole" / "files.csv").exists()
    method, found = load(tmp_path / "parts")
    assert (type(method), found) == (METHODS[name], config)
    assert all(torch.equal(x, y) for x, y in zip(method.parameters(), whole.ema.parameters(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_training_lowers_the_loss(name: str, pictures: Pictures, tmp_path: Path) -> None:
    trainer = start(tiny(name, steps=40, lr=3e-3), tmp_path / "run", pictures)
    before = trainer.validate()[0]["loss"]
    trainer.train()
    assert trainer.validate()[0]["loss"] < 0.8 * before


def test_an_architecture_cannot_change_when_a_run_is_resumed(pictures: Pictures, tmp_path: Path) -> None:
    start(tiny("finola"), tmp_path / "run", pictures).train(max_steps=1)
    with pytest.raises(ConfigError, match="another method"):
        start(tiny("qb-heat"), tmp_path / "run", pictures, resume=True)
    with pytest.raises(ConfigError, match="another channels"):
        start(tiny("finola", channels=64), tmp_path / "run", pictures, resume=True)


@pytest.mark.parametrize(
    ("setting", "message"),
    [("crop=96", "multiple of 64"), ("matrices=3", "2, 4 or 8"), ("masked=1.0", "between 0 and 1"), ("x=1", "unknown")],
)
def test_settings_that_cannot_be_are_refused(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_settings(PretrainConfig(method="qb-heat"), [setting])


@pytest.mark.parametrize(
    ("matrices", "offsets"),
    [(2, {"x2", "y2"}), (4, {"x-1", "x1", "y-1", "y1"}), (8, {"x-2", "x-1", "x1", "x2", "y-2", "y-1", "y1", "y2"})],
)
def test_qb_heat_has_a_matrix_for_each_offset(matrices: int, offsets: set[str]) -> None:
    method = QBHeat(tiny("qb-heat", matrices=matrices))
    assert set(method.matrices) == offsets
    torch.manual_seed(0)
    used = set()
    for _ in range(50):
        for _, _, down, right in method.block(torch.zeros(1, 3, 64, 64)).groups():
            used |= {f"y{down // method.unit}", f"x{right // method.unit}"}
    assert used == offsets


def test_qb_heat_is_linear() -> None:
    method = QBHeat(tiny("qb-heat", matrices=2))
    a, b = (torch.randn(1, 2, 2, 32) for _ in range(2))
    block = Quadrant(0, 0, 2, 2)
    torch.testing.assert_close(method.extend(a + 3 * b, block), method.extend(a, block) + 3 * method.extend(b, block))
    by_hand = a + a @ method.matrices["x2"].T
    torch.testing.assert_close(method.extend(a, block)[:, :2, 2:], by_hand)


def test_units_are_squares_of_16_pixels() -> None:
    x = torch.arange(3 * 32 * 48).view(1, 3, 32, 48)
    units = to_units(x)  # two rows of three units
    assert units.shape == (1, 6, 4, 4, 48)
    assert set(units[0, 4].flatten().tolist()) == set(x[:, :, 16:, 16:32].flatten().tolist())
    assert set(units[0, 4, 1, 3].flatten().tolist()) == set(x[:, :, 20:24, 28:32].flatten().tolist())


def test_a_unit_is_the_same_whichever_others_are_kept_until_attention() -> None:
    encoder = HiViT(8, (1, 1, 2))
    x = torch.rand(1, 3, 64, 64)
    whole, some = encoder(x), encoder(x, torch.tensor([[7, 2]]))
    torch.testing.assert_close(some.at4, whole.at4[:, [7, 2]])
    torch.testing.assert_close(some.at8, whole.at8[:, [7, 2]])
    assert not torch.allclose(some.at16, whole.at16[:, [7, 2]])


def test_pictures_do_not_fade_beside_positions(pictures: Pictures) -> None:
    """What tells pictures apart is about as large in untrained features as what tells positions apart."""
    torch.manual_seed(0)
    method = build(PretrainConfig(method="itpn"))
    crops = pictures.batch([np.random.default_rng(number) for number in range(16)], 128)
    with torch.no_grad():
        for level in method.encoder(crops).at16, method.features(crops):
            of_positions = level.mean(0)
            assert (level - of_positions).var() > 0.5 * (of_positions - of_positions.mean(0)).var()


def test_the_pyramid_adds_what_is_coarser() -> None:
    u = HiViT(8, (0, 0, 2))(torch.rand(1, 3, 32, 32))
    pyramid = Pyramid(32)
    v = pyramid(u)
    assert torch.equal(v.at16, u.at16)
    torch.testing.assert_close((v.at8 - u.at8).flatten(2), pyramid.up8(u.at16))
    up = pyramid.up4(v.at8[:, :, 0, 1]).unflatten(2, (2, 2, -1))  # the upper right patch of stride 8
    torch.testing.assert_close((v.at4 - u.at4)[:, :, 0:2, 2:4], up)


def test_the_teacher_is_the_average_and_learns_nothing(pictures: Pictures, tmp_path: Path) -> None:
    config = tiny("itpn")
    model, average = build(config), build(config)
    x = pictures.held_out_crops(64)
    told = average.tell(x)
    assert [target.shape for target in told] == [(1, 16, 32), (1, 16, 64), (1, 16, 128)]
    objective = Reconstruction(config, pictures)
    torch.manual_seed(1)
    measured = objective.measure(model, average, x, torch.zeros(1))
    measured.objective.backward()
    assert all(p.grad is None for p in average.parameters())
    torch.manual_seed(1)
    other = objective.measure(model, model, x, torch.zeros(1))
    assert measured.logged["psnr"] == other.logged["psnr"]
    assert measured.logged["features"] != other.logged["features"]


def test_plain_masked_image_modelling_has_no_pyramid_and_no_feature_loss() -> None:
    method = build(tiny("itpn", pyramid=False, feature_weight=0.0))
    assert isinstance(method, ITPN)
    assert (method.pyramid, method.to_features) == (None, None)
    x = torch.rand(1, 3, 64, 64) - 0.5
    assert method.tell(x) == ()
    assert method(x).feature_loss == 0
    torch.testing.assert_close(method.features(x), method.encoder(x).at16)


def test_the_least_attended_units_leave() -> None:
    """The third is attended most by itself alone, which does not count; the second by no other."""
    attention = torch.tensor([[[0.2, 0.1, 0.2, 0.5], [0.4, 0.1, 0.1, 0.4], [0.0, 0.1, 0.9, 0.0], [0.6, 0.0, 0.3, 0.1]]])
    stay, leave = migration(attention, 0.5)
    assert stay.tolist() == [[0, 3]]
    assert leave.tolist() == [[2, 1]]


def test_migration_saves_operations_and_keeps_every_unit() -> None:
    slow, fast = (build(tiny(name)) for name in ("itpn", "fast-itpn"))
    fast.load_state_dict(slow.state_dict())
    x = torch.rand(1, 3, 64, 64) - 0.5
    assert fast.features(x).shape == slow.features(x).shape == (1, 16, 32)
    assert not torch.allclose(fast.features(x), slow.features(x))
    assert flops(fast, 64) < 0.95 * flops(slow, 64)


def test_places_differ() -> None:
    assert torch.cdist(places(4, 6, 16), places(4, 6, 16)).add(torch.eye(24)).min() > 0.1
