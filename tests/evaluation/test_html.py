"""The page in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from finola_codec import Model
from finola_codec.cli import main
from tests.evaluation.test_evaluation import folder  # noqa: F401  (a fixture)


@pytest.fixture(scope="module")
def page(folder: Path, tiny_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    out = tmp_path_factory.mktemp("report")
    arguments = ["eval", str(folder), "--out", str(out), "--codecs", "jpeg,webp", "--model", str(tiny_model.folder)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return out / "html" / "index.html"


def test_the_folder_is_complete(page: Path) -> None:
    text = page.read_text()
    assert "http" not in text.replace("http-equiv", "")  # nothing is fetched from elsewhere
    for name in ("plotly.min.js", "data.js", "report.js", "report.css"):
        assert (page.parent / name).exists()
    assert len(list((page.parent / "images").iterdir())) == 2 * 4


@pytest.mark.slow
def test_the_page_works(page: Path, browser) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    browser.get_log("browser")  # what pages of other tests have left there
    browser.get(page.as_uri())
    assert browser.find_element(By.TAG_NAME, "body").get_attribute("data-ready") == "true"

    def curves() -> int:
        return browser.execute_script("return document.getElementById('plot').data.length")

    rates = browser.find_elements(By.CSS_SELECTOR, "#rates tbody tr")
    assert [row.find_element(By.TAG_NAME, "td").text for row in rates] == ["jpeg", "webp"]
    assert "Pillow" in browser.find_element(By.ID, "about").get_attribute("textContent")

    before = curves()
    box = browser.find_element(By.CSS_SELECTOR, "#curve-toggles input[data-curve=jpeg]")
    box.send_keys(Keys.SPACE)  # by the keyboard
    assert curves() == before - 1
    box.send_keys(Keys.SPACE)
    assert curves() == before
    Select(browser.find_element(By.ID, "metric")).select_by_value("ms_ssim")
    assert "MS-SSIM" in browser.find_element(By.CSS_SELECTOR, "#plot .ytitle").text

    def split() -> str:
        return browser.execute_script("return getComputedStyle(document.getElementById('above')).clipPath")

    start = split()
    slider = browser.find_element(By.ID, "slider")
    for _ in range(5):
        slider.send_keys(Keys.ARROW_RIGHT)
    assert slider.get_attribute("value") == "55"
    assert split() != start
    assert browser.execute_script("return document.getElementById('above').naturalWidth") > 100
    caption = browser.find_element(By.ID, "caption").text
    Select(browser.find_element(By.ID, "right")).select_by_value("webp")
    assert browser.find_element(By.ID, "caption").text != caption
    browser.find_element(By.ID, "difference").send_keys(Keys.SPACE)
    assert "difference" in browser.find_element(By.ID, "stage").get_attribute("class")

    browser.find_element(By.ID, "difference").send_keys(Keys.SPACE)
    stage = browser.find_element(By.ID, "stage")
    ActionChains(browser).move_to_element(stage).click_and_hold().move_by_offset(30, 0).release().perform()
    assert float(slider.get_attribute("value")) == pytest.approx(50 + 100 * 30 / stage.size["width"], abs=1.5)
    Select(browser.find_element(By.ID, "zoom")).select_by_value("4")
    width = browser.execute_script("return document.getElementById('above').naturalWidth")
    assert stage.size["width"] == 4 * width

    rows = browser.find_elements(By.CSS_SELECTOR, "#gains tbody tr")
    assert len(rows) == 2
    rows[1].find_element(By.TAG_NAME, "button").click()
    assert browser.find_element(By.ID, "picture").get_attribute("value") in rows[1].text
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
