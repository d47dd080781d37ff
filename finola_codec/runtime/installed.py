"""Where models are found by name, or by the id in a file."""

from __future__ import annotations

import os
from pathlib import Path

from finola_codec.errors import ModelError
from finola_codec.runtime.manifest import MANIFEST, claimed_id

VARIABLE = "FINOLA_MODELS"  # folders of model folders, separated as those of PATH are


def folders() -> dict[str, Path]:
    """Model folders by name: those of the wheel or checkout, of the folders in FINOLA_MODELS, and of the current one.

    Of two models with one name the first counts.
    """
    found: dict[str, Path] = {}
    for root in _roots():
        for manifest in sorted(root.glob(f"*/{MANIFEST}")):
            found.setdefault(manifest.parent.name, manifest.parent)
    return found


def find(model_id: bytes) -> Path:
    """Return the folder of the model with this id. Raises :class:`ModelError` where there is none."""
    known = []
    for name, folder in folders().items():
        try:
            claimed = claimed_id(folder)
        except ModelError:
            continue  # a folder of another program, or a model that is broken, and that nobody has asked for
        if claimed == model_id:
            return folder
        known.append(f"{name} ({claimed.hex()})")
    raise ModelError(
        f"the file was written with the model {model_id.hex()}, which is not installed; installed are "
        f"{', '.join(known) or 'none'}; name the model's folder with --model, or a folder that holds it in {VARIABLE}"
    )


def _roots() -> list[Path]:
    package = Path(__file__).parents[1]
    shipped = [root for root in (package / "models", package.parent / "models") if root.is_dir()][:1]
    named = [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    return [*shipped, *named, Path()]
