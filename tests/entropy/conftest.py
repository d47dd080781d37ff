"""Both range coders; constriction's where it installs."""

from __future__ import annotations

import importlib

import pytest

from finola_codec.entropy import range_coder
from finola_codec.entropy.coder import RangeCoder


@pytest.fixture(scope="session")
def constriction_coder() -> RangeCoder:
    pytest.importorskip("constriction")
    return importlib.import_module("finola_codec.entropy.constriction_coder")


@pytest.fixture(scope="session", params=["range_coder", "constriction_coder"])
def coder(request: pytest.FixtureRequest) -> RangeCoder:
    return range_coder if request.param == "range_coder" else request.getfixturevalue("constriction_coder")
