"""The page that ``finola-codec web`` writes, in a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains

from finola_codec import encode
from tests.web.conftest import TIMEOUT

READY = """
const done = arguments[0];
const wait = () => document.body.dataset.ready ? done(document.body.innerText) : setTimeout(wait, 50);
wait();"""


def opened(browser: Any, address: str, file: Path) -> str:
    """The text of the page once it shows what it was given."""
    browser.set_script_timeout(TIMEOUT)
    browser.get(f"{address}/index.html")
    browser.find_element("id", "files").send_keys(str(file))
    return browser.execute_async_script(READY)


def split(browser: Any) -> str:
    return browser.execute_script("return document.getElementById('compare').style.getPropertyValue('--split')")


@pytest.mark.slow
def test_a_picture_stands_beside_every_format(browser: Any, address: str, photo: Image.Image, tmp_path: Path) -> None:
    photo.crop((100, 40, 260, 160)).save(tmp_path / "cat.png")
    text = opened(browser, address, tmp_path / "cat.png")
    assert "160 \u00d7 120 pixels" in text
    for button in browser.find_elements("css selector", "#others button"):
        button.click()
        name = button.text
        browser.execute_async_script(READY)
        assert browser.find_element("id", "status").text == ""
        scores = [score.text.split("\n") for score in browser.find_elements("css selector", "#scores div")]
        assert [score[0] for score in scores] == [".fin", name]
        if name == "Original":
            continue
        bytes_ = [int(score[2].split()[0].replace(",", "")) for score in scores]
        assert bytes_[1] <= bytes_[0] or "none smaller" in scores[1][2]
        assert bytes_[1] > 0.8 * bytes_[0]
        assert all(15 < float(score[1].removesuffix(" dB")) < 50 for score in scores)


@pytest.mark.slow
def test_it_fits_a_phone_and_a_finger(browser: Any, address: str, photo: Image.Image, tmp_path: Path) -> None:
    photo.crop((100, 40, 260, 160)).save(tmp_path / "cat.png")
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        opened(browser, address, tmp_path / "cat.png")
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        box = browser.execute_script(
            "const c = document.getElementById('compare'); c.scrollIntoView({block: 'center'});"
            "const {left, top, width, height} = c.getBoundingClientRect(); return [left, top, width, height]"
        )
        x, y = box[0], box[1] + box[3] / 2
        for kind, at in (("touchStart", 0.5), ("touchMove", 0.4), ("touchMove", 0.2), ("touchEnd", None)):
            points = [] if at is None else [{"x": x + at * box[2], "y": y}]
            browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        assert 15 < float(split(browser).removesuffix("%")) < 25
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


@pytest.mark.slow
def test_a_fin_file_is_shown_alone(browser: Any, address: str, photo: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "cat.fin").write_bytes(encode(photo.resize((90, 60)), 40))
    text = opened(browser, address, tmp_path / "cat.fin")
    assert "90 \u00d7 60 pixels" in text
    assert "quality 40" in text
    assert not browser.find_element("id", "others").is_displayed()
    (tmp_path / "bad.fin").write_bytes(b"not one")
    browser.execute_script("delete document.body.dataset.ready")
    browser.find_element("id", "files").send_keys(str(tmp_path / "bad.fin"))
    assert "not a .fin file" in browser.execute_async_script(READY)
    assert "90 \u00d7 60 pixels" in browser.find_element("id", "facts").text  # what was shown stays


@pytest.mark.slow
def test_the_line_follows_mouse_and_keys(browser: Any, address: str, photo: Image.Image, tmp_path: Path) -> None:
    photo.crop((100, 40, 260, 160)).save(tmp_path / "cat.png")
    opened(browser, address, tmp_path / "cat.png")
    compare = browser.find_element("id", "compare")
    width = compare.size["width"]
    ActionChains(browser).move_to_element_with_offset(compare, width // 4, 0).click().perform()
    assert 70 < float(split(browser).removesuffix("%")) < 80
    browser.find_element("id", "slider").send_keys("\ue012")  # the arrow to the left
    assert 69 < float(split(browser).removesuffix("%")) < 79
