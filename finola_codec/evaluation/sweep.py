"""Every codec over every picture and setting, a line of JSON each, resumed where it stopped.

A result carries what it depends on: the picture's name and preparation, the codec, of ours the model, the format and
the effort, and the setting. What is the same in all of these is not measured again, and nothing else is put beside it.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from finola_codec import __version__, journal
from finola_codec.codec import DEFAULT_EFFORT
from finola_codec.errors import ConfigError, ImageError
from finola_codec.evaluation.codecs import FinolaCodec, ImageCodec, find
from finola_codec.evaluation.pictures import Picture
from finola_codec.parallel import Engine
from finola_codec.runtime.manifest import Tune
from finola_codec.runtime.model import load_model

RESULTS = "results.jsonl"
KEY = ("image", "resize", "crop", "codec", "model_id", "model_sha256", "format", "effort", "device", "setting")
Record = dict[str, Any]
Key = tuple[Any, ...]  # the values of the fields KEY


@dataclass(frozen=True)
class Plan:
    """What is measured: codecs by name, models by name or folder, the preparation of each picture."""

    codecs: tuple[str, ...]
    models: tuple[str, ...]
    resize: int | None = None
    crop: int | None = None
    efforts: tuple[int, ...] = (DEFAULT_EFFORT,)  # efforts of our models
    tunes: tuple[Tune, ...] = ("psnr",)  # metrics that our models spend their bits for
    qualities: tuple[int, ...] = FinolaCodec.settings
    device: str | None = None  # of our models

    def open(self, threads: int = 0) -> list[ImageCodec]:
        """Open the codecs; our models for those of the tunes that they have an encoder for.

        Raises :class:`ConfigError` for a codec that cannot run here, a tune that no model has, and two of one name.
        """
        opened = [load_model(m, threads, self.device) for m in self.models]
        if missing := [tune for tune in self.tunes if opened and not any(tune in model.tunes for model in opened)]:
            raise ConfigError(f"none of the models has an encoder for {', '.join(missing)}")
        tuned = [(model, tune) for model in opened for tune in self.tunes if tune in model.tunes]
        ours = [FinolaCodec(m, e, self.qualities, tune) for m, tune in tuned for e in self.efforts]
        codecs = [*ours, *find(self.codecs)]
        names = [c.name for c in codecs]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigError(f"two of the codecs are called {twice.pop()}; compare one at a time")
        return codecs

    def about(self, picture: Picture) -> Record:
        """Return what all results of a picture carry."""
        return {"image": picture.name, "resize": self.resize, "crop": self.crop}

    def keys(self, picture: Picture, codecs: Sequence[ImageCodec]) -> list[Key]:
        """Return what tells the results that are wanted of a picture from those of other models and settings."""
        about = self.about(picture)
        return [_key({**about, **c.identity, "setting": float(s)}) for c in codecs for s in c.settings]


def run(pictures: Sequence[Picture], plan: Plan, out: Path, engine: Engine) -> Generator[Record, None, None]:
    """Measure what ``out`` does not hold yet, write each result as it is there, and yield it.

    A picture that cannot be read is reported as a record with an ``error``. Results come in the pictures' order
    and do not depend on the engine, but for their seconds.
    """
    out.mkdir(parents=True, exist_ok=True)
    done = {_key(r) for r in _load(out) if "error" not in r}
    codecs = plan.open()
    jobs = ((p, frozenset(k for k in plan.keys(p, codecs) if k not in done)) for p in pictures)
    with (
        closing(engine.map(partial(_measure, plan, engine.threads), (job for job in jobs if job[1]))) as measured,
        journal.appending(out / RESULTS) as append,
    ):
        for records in measured:
            for record in records:
                append(record)
                yield record


def results(pictures: Sequence[Picture], plan: Plan, out: Path) -> list[Record]:
    """Return what ``out`` holds of a plan, codec by codec, and the errors of pictures of which it holds nothing else.

    Results of other models, settings and pictures stay in the file and are left out here.
    """
    held = {_key(r): r for r in _load(out)}
    codecs = plan.open()
    found = {_key(plan.about(p)): [held[k] for k in plan.keys(p, codecs) if k in held] for p in pictures}
    measured = [r for records in found.values() for r in records]
    order = {c.name: i for i, c in enumerate(codecs)}
    errors = [held[key] for key, records in found.items() if not records and key in held]
    return [*sorted(measured, key=lambda r: order[r["codec"]]), *errors]


def _load(out: Path) -> Iterator[Record]:
    for record in journal.load(out / RESULTS):
        if "image" not in record:
            raise ConfigError(f"{out / RESULTS}: holds no results of eval")
        yield record


def _key(record: Record) -> Key:
    """Two results of one key are the same; an error's is that of a result without codec and setting."""
    return tuple(record.get(field) for field in KEY)


def _measure(plan: Plan, threads: int, job: tuple[Picture, frozenset[Key]]) -> list[Record]:
    from finola_codec.evaluation.metrics import measure

    picture, wanted = job
    try:
        original = picture.read(plan.resize, plan.crop)
    except ImageError as error:
        return [plan.about(picture) | {"error": str(error)}]
    records = []
    for codec in plan.open(threads):
        for setting in codec.settings:
            record: Record = {**plan.about(picture), **codec.identity, "setting": float(setting)}
            if _key(record) not in wanted:
                continue
            began = time.perf_counter()
            data = codec.encode(original, setting)
            encoded = time.perf_counter()
            decoded = codec.decode(data)
            finished = time.perf_counter()
            record |= {
                "version": __version__,
                "bytes": len(data),
                "bpp": 8 * len(data) / (original.width * original.height),
            }
            record |= measure(original, decoded)
            record |= {"encode_s": round(encoded - began, 4), "decode_s": round(finished - encoded, 4)}
            records.append(record)
    return records
