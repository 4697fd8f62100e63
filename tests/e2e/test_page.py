"""The page in a real browser, on a real `velum up`: a picture and a video in, the anonymized ones out."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from support import browser
from support.streetclip import street_clip
from support.velumup import VelumUp
from velum_cli.sample import sample_picture

SECONDS = 150


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VelumUp]:
    browser.found()
    with VelumUp(tmp_path_factory.mktemp("up"), ["--no-self-check"]) as velum:
        yield velum


@pytest.fixture(scope="module")
def chrome(server: VelumUp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser.browser(tmp_path_factory.mktemp("chrome")) as opened:
        yield opened


@pytest.fixture
def page(chrome: Chrome, server: VelumUp) -> Chrome:
    chrome.get(f"{server.url}/")
    until(chrome, lambda: len(chrome.find_elements(By.CSS_SELECTOR, "#classes input")) == 4)
    browser.complaints(chrome)
    return chrome


def until(page: Chrome, done: Callable[[], Any]) -> Any:
    return WebDriverWait(page, SECONDS, poll_frequency=0.05).until(lambda _: done())


def send(page: Chrome, file: Path, *without: str) -> None:
    """Choose a file, untick classes, press the button."""
    page.find_element(By.ID, "file").send_keys(str(file))
    for name in without:
        page.find_element(By.NAME, name).click()
    page.find_element(By.ID, "start").click()


def error(page: Chrome) -> str:
    return page.find_element(By.ID, "error").text


def links(page: Chrome) -> dict[str, str]:
    """Wait for the result and return its links by name; an error shown instead fails the test."""
    until(page, lambda: error(page) or page.find_elements(By.CSS_SELECTOR, "#result a"))
    assert error(page) == ""
    return {a.text: str(a.get_attribute("href")) for a in page.find_elements(By.CSS_SELECTOR, "#result a")}


def fetched(address: str) -> httpx.Response:
    return httpx.get(address, trust_env=False, timeout=60)


def test_a_picture_comes_back_anonymized_and_is_shown(page: Chrome, server: VelumUp, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(sample_picture())
    Select(page.find_element(By.ID, "method")).select_by_visible_text("pixelate")
    send(page, photo, "vehicle")
    found = links(page)
    assert list(found) == ["anonymised", "binary-mask", "instance-mask", "metadata"]
    image = page.find_element(By.CSS_SELECTOR, "#result img")
    until(page, lambda: page.execute_script("return arguments[0].complete && arguments[0].naturalWidth", image))
    assert page.execute_script("return arguments[0].naturalWidth", image) == 960
    told = fetched(found["metadata"]).json()
    kinds = {each["type"] for each in told["detections"]}
    assert {100, 103} <= kinds
    assert 101 not in kinds
    task = found["metadata"].split("/")[-2]
    assert fetched(f"{server.url}/v1/task/{task}").json()["parameters"]["method"] == "pixelate"
    assert browser.complaints(page) == []


def test_a_video_tells_how_far_it_is_and_plays(page: Chrome, tmp_path: Path) -> None:
    send(page, street_clip(tmp_path / "street.mkv", 60, key_every=15), "person", "vehicle")
    until(page, lambda: error(page) or " of 60 frames" in page.find_element(By.ID, "result").text)
    assert page.execute_script("return document.querySelector('progress')?.max ?? 60") == 60
    assert page.find_element(By.ID, "cancel").is_displayed()
    found = links(page)
    assert list(found) == ["anonymised", "metadata"]
    video = page.find_element(By.CSS_SELECTOR, "#result video")
    until(page, lambda: page.execute_script("return arguments[0].readyState >= 2", video))
    assert page.execute_script("return [arguments[0].videoWidth, arguments[0].videoHeight]", video) == [960, 640]
    assert page.execute_script("return arguments[0].duration", video) == pytest.approx(6, abs=0.1)
    page.execute_script("arguments[0].currentTime = 5", video)  # a range request
    until(page, lambda: page.execute_script("return !arguments[0].seeking", video))
    assert page.execute_script("return arguments[0].currentTime", video) == pytest.approx(5, abs=0.01)
    assert not page.find_element(By.ID, "cancel").is_displayed()
    assert browser.complaints(page) == []


def test_a_video_can_be_cancelled(page: Chrome, server: VelumUp, tmp_path: Path) -> None:
    send(page, street_clip(tmp_path / "long.mp4", 150, key_every=50))
    cancel = page.find_element(By.ID, "cancel")
    until(page, cancel.is_displayed)
    cancel.click()
    said = until(page, lambda: error(page))
    assert not page.find_elements(By.CSS_SELECTOR, "#result a")
    assert [each for each in fetched(f"{server.url}/v1/task/list").json() if each["filename"] == "long.mp4"] == []
    assert said == "Cancelled. Nothing of it is kept."
    assert page.find_element(By.ID, "start").is_enabled()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no picture at all", "no MP4, MOV, MKV"), (sample_picture()[:20_000], "ends"), (b"", "empty")],
    ids=["text", "cut short", "empty"],
)
def test_what_is_wrong_with_a_file_is_said(page: Chrome, content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    file.write_bytes(content)
    send(page, file)
    assert said in until(page, lambda: error(page))
    assert page.find_element(By.ID, "start").is_enabled()


def test_the_reference_loads_nothing_from_elsewhere(chrome: Chrome, server: VelumUp) -> None:
    browser.complaints(chrome)
    chrome.get(f"{server.url}/docs")
    assert "/v1/file" in chrome.find_element(By.TAG_NAME, "body").text
    loaded = chrome.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")
    assert [each for each in loaded if not each.startswith(server.url)] == []
    assert browser.complaints(chrome) == []
