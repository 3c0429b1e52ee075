"""The pages in a real headless Chromium: nothing leaves the machine, nothing complains."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("streamlit", reason="the extra 'dashboard' is not installed")

from dashboards.app.navigation import SCREENS
from tests.organisms import snv, vcf_text

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed (extra 'dev')"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH"),
    pytest.mark.allow_hosts(["127.0.0.1"]),
    # Playwright's own loop and pipes are closed at the end of the module.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROOT = Path(__file__).resolve().parents[3]
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
ALLELE = ":".join(map(str, snv("chr1", 2101)))
WAIT_MS = 30_000


@dataclass
class Watch:
    """What a page asked for and complained of."""

    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def follow(self, page: Any) -> None:
        inside = re.compile(r"^(https?|wss?)://127\.0\.0\.1[:/]|^(data|blob|about):")
        page.on("request", lambda r: inside.match(r.url) or self.outside.append(r.url))
        page.on("pageerror", lambda e: self.complaints.append(f"{e}\n{e.stack}"))
        page.on("console", self._hear)

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def check(self) -> None:
        assert self.outside == []
        assert self.complaints == []


@contextmanager
def served(workspace: Path, home: Path) -> Iterator[str]:
    """Start ``cisgraph dashboard`` on a free port; stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (home / "server.log").open("wb")
    server = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "dashboards.cli", "dashboard", "-w", str(workspace),
         "--port", str(port)],
        cwd=ROOT, stdout=log, stderr=log,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(home)},
    )  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"{base}/_stcore/health").close()  # noqa: S310
                break
            assert server.poll() is None, (home / "server.log").read_text()
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.1)
        yield base
    finally:
        server.terminate()
        server.wait(20)
        log.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def own(tiny: Path, home: Path) -> Path:
    """A copy of the workspace: jobs are run in it."""
    return Path(shutil.copytree(tiny, home / "workspace"))


@pytest.fixture(scope="module")
def base(own: Path, home: Path) -> Iterator[str]:
    import pytest_socket

    pytest_socket.enable_socket()
    with served(own, home) as address:
        yield address


@pytest.fixture(scope="module")
def chromium(base: str) -> Iterator[Any]:  # noqa: ARG001  # the server comes first
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def page(chromium: Any, watch: Watch) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1400, "height": 1500})
    context.set_default_timeout(WAIT_MS)
    opened = context.new_page()
    watch.follow(opened)
    yield opened
    context.close()


def settle(page: Any) -> None:
    """Wait until the page is drawn and its script rests."""
    page.locator("h1").first.wait_for()
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]')"
        "?.getAttribute('data-test-script-state') === 'notRunning'"
    )


PAPER = (
    "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
)
READY = {
    "region": ".igv-track-label",
    "graph": "iframe[title^='st_link_analysis']",
    "variant": ".cg-evidence",
    "variants": "[data-testid=stDataFrame] canvas",
}


def test_each_page_opens_without_a_complaint_and_without_leaving_the_machine(
    page: Any, watch: Watch, base: str
) -> None:
    for name in SCREENS:
        page.emulate_media(color_scheme="light")
        page.goto(f"{base}/{name}?variant={ALLELE}&gene=gA&region=chr1:1500-3500")
        settle(page)
        if name in READY:
            page.locator(READY[name]).first.wait_for()
        light = page.evaluate(PAPER)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(f"{PAPER} !== '{light}'")
        assert page.locator("h1").first.inner_text() == SCREENS[name].title
        assert page.locator("[data-testid=stException]").count() == 0
        assert page.get_by_text("The genome browser stopped").count() == 0
    watch.check()


def test_region_to_card_to_export(
    page: Any, watch: Watch, base: str, tmp_path: Path
) -> None:
    page.goto(f"{base}/region?region=chr1:2081-2120")
    settle(page)
    label = page.locator(".igv-track-label", has_text="Variants")
    label.wait_for()
    page.wait_for_timeout(800)
    # The track is drawn on a canvas: click where the allele must be.
    ruler = page.locator(".igv-viewport").nth(2).bounding_box()
    at = label.bounding_box()
    drawn = page.request.get(
        f"{base}/data/workspace/features/variants?chr=chr1&start=2080&end=2120"
    ).json()["features"]
    one = next(f for f in drawn if f["name"] == ALLELE)
    share = (one["start"] + 0.5 - 2080) / 40
    page.mouse.click(ruler["x"] + share * ruler["width"], at["y"] + 12)
    page.wait_for_url(re.compile("variant=chr1"))
    page.get_by_role("link", name="Open its card").click()
    page.locator(".cg-evidence").wait_for()
    assert ALLELE.replace(":", "%3A") in page.url
    settle(page)
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").get_by_text("TSV").last.click()
    saved = tmp_path / "card.tsv"
    download.value.save_as(saved)
    card = pd.read_csv(saved, sep="\t")
    assert {"consequence", "association", "prior score"} <= set(card["section"])
    assert card["source"].str.contains("sha256").any()
    with page.expect_download() as download:
        page.get_by_test_id("stDownloadButton").get_by_text("FASTA").click()
    sequence = Path(download.value.path()).read_text()
    assert sequence.count(">") == 2
    assert f">{ALLELE} REF" in sequence
    with page.expect_download() as download:
        page.get_by_role("button", name="Save SVG").click()
    assert Path(download.value.path()).read_text().startswith("<svg")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save PNG").click()
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
    watch.check()


def test_a_row_chosen_in_the_table_is_marked_in_the_browser(
    page: Any, watch: Watch, base: str
) -> None:
    page.goto(f"{base}/region?region=chr1:2000-2300")
    settle(page)
    page.locator(".igv-track-label").first.wait_for()
    table = page.get_by_test_id("stDataFrame").first.bounding_box()
    page.mouse.click(table["x"] + 18, table["y"] + 38 + 17)
    page.wait_for_url(re.compile("variant=chr1"))
    page.locator(".igv-roi-region").first.wait_for(state="attached")
    watch.check()


def test_an_export_of_variants_is_what_was_filtered(
    page: Any, watch: Watch, base: str, frame: pd.DataFrame
) -> None:
    page.goto(f"{base}/variants")
    settle(page)
    page.get_by_role("button", name="HIGH", exact=True).click()
    page.wait_for_url(re.compile("impact=HIGH"))
    n = int((frame["impact"] == "HIGH").sum())
    page.get_by_role("heading", name=f"{n:,}", exact=True).wait_for()
    settle(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="TSV, all that pass").click()
    saved = pd.read_csv(download.value.path(), sep="\t")
    assert len(saved) == n
    assert set(saved["impact"]) == {"HIGH"}
    page.go_back()
    settle(page)
    page.wait_for_function("!location.search.includes('impact')")
    watch.check()


def test_a_bad_file_gets_one_sentence_and_no_job(
    page: Any, watch: Watch, base: str, own: Path
) -> None:
    page.goto(f"{base}/score")
    settle(page)
    page.set_input_files(
        "input[type=file]",
        files=[{"name": "lines.vcf", "mimeType": "text/plain", "buffer": b"hello\n"}],
    )
    page.get_by_role("button", name="Score", exact=True).click()
    alert = page.get_by_test_id("stAlert")
    alert.wait_for()
    assert "lines.vcf, line 1" in alert.inner_text()
    assert not (own / "jobs").exists()
    watch.check()


def test_a_job_goes_on_over_a_reload_and_ends_in_its_result(
    page: Any, watch: Watch, base: str
) -> None:
    text = vcf_text([snv("chr1", at) for at in range(2000, 6000)])
    page.goto(f"{base}/score")
    settle(page)
    page.set_input_files(
        "input[type=file]",
        files=[{"name": "mine.vcf", "mimeType": "text/plain", "buffer": text.encode()}],
    )
    page.get_by_role("button", name="Score", exact=True).click()
    page.wait_for_url(re.compile("job="))
    address = page.url
    page.get_by_role("button", name="Cancel").wait_for()
    page.reload()
    settle(page)
    assert page.url == address
    page.get_by_text("The 20 highest").wait_for(timeout=60_000)
    assert "4,000 input alleles" in page.locator("figure").first.inner_text()
    page.get_by_role("link", name="All of them, with filters").click()
    page.get_by_role("heading", name="4,000", exact=True).wait_for()
    watch.check()


def test_a_job_is_cancelled_cleanly(
    page: Any, watch: Watch, base: str, own: Path
) -> None:
    text = vcf_text([snv("chr1", at) for at in range(1000, 9000)])
    page.goto(f"{base}/score")
    settle(page)
    page.set_input_files(
        "input[type=file]",
        files=[{"name": "stop.vcf", "mimeType": "text/plain", "buffer": text.encode()}],
    )
    page.get_by_role("button", name="Score", exact=True).click()
    page.wait_for_url(re.compile("job="))
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled. Nothing of it is kept").wait_for()
    job = re.search("job=([0-9a-f-]+)", page.url)
    assert job
    assert not list((own / "jobs" / job[1]).glob("*result*"))
    watch.check()


def test_two_people_see_each_their_own(chromium: Any, watch: Watch, base: str) -> None:
    people = [
        chromium.new_context(viewport={"width": 1400, "height": 900}) for _ in "ab"
    ]
    pages = [context.new_page() for context in people]
    for opened in pages:
        watch.follow(opened)
        opened.set_default_timeout(WAIT_MS)
    pages[0].goto(f"{base}/variants?gene=gA")
    pages[1].goto(f"{base}/variants?gene=gB")
    for opened in pages:
        settle(opened)
    pages[0].get_by_role("button", name="HIGH", exact=True).click()
    pages[0].wait_for_url(re.compile("impact=HIGH"))
    settle(pages[1])
    assert "impact" not in pages[1].url
    for opened, gene in zip(pages, ("gA", "gB"), strict=True):
        box = opened.get_by_label("Gene", exact=True)
        playwright.expect(box).to_have_value(gene, timeout=WAIT_MS)
    for context in people:
        context.close()
    watch.check()
