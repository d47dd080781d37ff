"""Golden files decode to the integers of their hashes, whatever the threads, the CPU's kernels, or NumPy's version."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import signal
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from finola_codec import FinolaError, decode, load_model
from tests.conftest import psnr
from tests.golden.fingerprints import coded
from tests.golden.make import FOLDER, HASHES, pictures

ROOT = Path(__file__).parents[1]
EXPECTED = json.loads(HASHES.read_text())
CORES = ("Prescott", "Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX")  # kernels that OpenBLAS can be told to use


def fingerprints(python: str = sys.executable, *arguments: str, **environment: str) -> dict[str, str]:
    command = [python, "-m", "tests.golden.fingerprints", *arguments]
    env = os.environ | environment
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGILL:
        pytest.skip("this CPU has not the instructions of these kernels")
    done.check_returncode()
    return json.loads(done.stdout)


def integers() -> dict[str, str]:
    found = {name: hashes["integers"] for name, hashes in EXPECTED.items()}
    return found | {"coded": coded(load_model("finola-base"))}


def test_the_files_are_those_of_the_hashes() -> None:
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in FOLDER.glob("*.fin")}
    assert found == {name: hashes["file"] for name, hashes in EXPECTED.items()}


@pytest.mark.parametrize("name", sorted(name for name in EXPECTED if not name.startswith("extreme")))
def test_the_pictures_are_those_that_were_encoded(name: str) -> None:
    source, _ = pictures()[name.split(".")[0]]
    decoded = decode((FOLDER / name).read_bytes())
    assert (decoded.size, decoded.mode) == (source.size, source.mode)
    assert psnr(source, decoded) > 18


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "2"])
def test_threads_do_not_matter(threads: str) -> None:
    assert fingerprints(OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads) == integers()


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_kernels_do_not_matter(core: str) -> None:
    assert fingerprints(OPENBLAS_CORETYPE=core) == integers()


@pytest.mark.slow
def test_the_range_coder_does_not_matter() -> None:
    assert fingerprints(sys.executable, "python") == integers()


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the kernels to choose from are of x86-64")
def test_a_float_prior_would_be_noticed() -> None:
    found = {fingerprints(sys.executable, "float", OPENBLAS_CORETYPE=core)["coded"] for core in CORES}
    assert len(found) > 1, "every kernel gave the float prior the same integers: this test tells nothing here"


@pytest.mark.slow
def test_another_numpy_without_constriction_does_not_matter(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python")
    packages = ["numpy==1.26.4", "pillow", "click"]
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary",
        ":all:",
        *packages,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NumPy 1.26 does not install here: {done.stderr.strip().splitlines()[-1:]}")
    assert fingerprints(python) == integers()


@pytest.mark.parametrize("name", ["small.finola-base.fin", "grey.finola-256.fin"])
def test_every_truncation_of_a_golden_file_is_an_error(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    for length in range(len(data)):
        with pytest.raises(FinolaError):
            decode(data[:length])


@pytest.mark.parametrize("name", ["pixel.finola-base.fin", "grey.finola-base.fin"])
def test_every_flipped_bit_of_a_small_golden_file_is_an_error(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FinolaError):
            decode(bytes(damaged))
