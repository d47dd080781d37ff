"""`export` must not destroy a model that files were written with. Here another model stands for a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finola_codec import Model, load_model
from finola_codec.cli import main
from finola_codec.training import export as exporting
from finola_codec.training.config import CONFIG, TrainConfig

Export = Callable[..., Result]


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Exports what takes no training, and no time: a copy of a model."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CONFIG).write_text(json.dumps(TrainConfig().to_dict()))
    monkeypatch.setattr(exporting, "load_trained", lambda run: (None, 3))
    monkeypatch.setattr(exporting, "model_card", lambda *arguments: "a card")

    def run(model: Model, folder: Path, *options: str) -> Result:
        def write(codec: None, draft: Path, name: str, card: str, licence: str) -> Model:
            shutil.copytree(model.folder, draft, dirs_exist_ok=True)
            return load_model(draft)

        monkeypatch.setattr(exporting, "export", write)
        return CliRunner().invoke(main, ["export", str(tmp_path / "run"), str(folder), *options])

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_is_replaced_only_with_force(
    export: Export, tiny_model: Model, tiny_tile_model: Model, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "my"
    assert export(tiny_model, folder).exit_code == 0
    before = contents(folder)
    done = export(tiny_tile_model, folder)
    assert done.exit_code == 2
    assert f"{folder}: holds a model already" in done.output
    assert contents(folder) == before
    done = export(tiny_tile_model, folder, "--force")
    assert done.exit_code == 0, done.output
    assert f"files written with the model {tiny_model.id.hex()} no longer decode with it" in done.output
    assert contents(folder) == contents(tiny_tile_model.folder)  # none of the other's files is left


def test_a_folder_of_pictures_is_not_spilled_into(export: Export, tiny_model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"a picture")
    done = export(tiny_model, folder)
    assert done.exit_code == 2
    assert "holds other files" in done.output
    assert contents(folder) == {"a.png": b"a picture"}
    assert export(tiny_model, folder, "--force").exit_code == 0
    assert contents(folder) == contents(tiny_model.folder) | {"a.png": b"a picture"}


def test_an_export_that_fails_leaves_things_as_they_were(export: Export, tiny_model: Model, tmp_path: Path) -> None:
    folder = tmp_path / "my"
    missing = replace(tiny_model, folder=tmp_path / "missing")
    assert export(missing, folder).exit_code != 0
    assert not folder.exists()
    assert export(tiny_model, folder).exit_code == 0
    assert export(missing, folder, "--force").exit_code != 0
    assert contents(folder) == contents(tiny_model.folder)
