"""Pictures of every page, light and dark, of the SIMULATED demo organism.

    python benchmarks/screenshots.py --workspace demo/workspace

The workspace is copied first, so that the scoring job shown leaves nothing behind in it.
Writes ``docs/screenshots/<page>-<light|dark>.png``, each under 200 kB.
"""

import argparse
import io
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.dashboard import FLAGS, RESTS, serve
from dashboards import jobs

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs" / "screenshots"
MOST_BYTES: Final = 200_000
_ALLELE = "chr1:1842:T:C"
PAGES: Final = {
    "workspace": ("", "[data-testid=stDataFrame] canvas"),
    "region": (f"region=chr1:1-40000&variant={_ALLELE}", ".igv-track-label"),
    "variants": ("impact=HIGH&impact=MODERATE", "[data-testid=stVegaLiteChart]"),
    "variant": (f"variant={_ALLELE}", ".cg-evidence"),
    "gene": ("gene=DM1G00060", "[data-testid=stVegaLiteChart]"),
    "graph": (f"node=variant:{_ALLELE}&hops=2", "iframe"),
    "score": ("", "figure"),
    "help": ("", "h1"),
}
"""What each page shows, and what is there once it is drawn."""


def take(page: Page, address: str, ready: str, height: int) -> bytes:
    """Open a page and return its picture."""
    page.set_viewport_size({"width": 1320, "height": height})
    page.goto(address)
    page.locator(ready).first.wait_for(timeout=120_000)
    page.wait_for_function(RESTS, timeout=120_000)
    # Tracks and layouts are drawn after the page's own script rests.
    page.wait_for_timeout(5000)
    return page.screenshot()


def shrink(picture: bytes) -> bytes:
    """Reduce to a palette, then in size, until it is small enough."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for colours, share in ((256, 1.0), (128, 1.0), (64, 1.0), (64, 0.8), (48, 0.7)):
        size = (round(image.width * share), round(image.height * share))
        small = image.resize(size, Image.Resampling.LANCZOS).quantize(colours)
        held = io.BytesIO()
        small.save(held, "PNG", optimize=True)
        if held.tell() < MOST_BYTES:
            return held.getvalue()
    raise ValueError("a picture stays too large")


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "simulated"
        shutil.copytree(
            asked.workspace, workspace, ignore=shutil.ignore_patterns("jobs")
        )
        (vcf,) = workspace.glob("sources/*/simulated.lines.vcf.gz")
        job = jobs.submit(workspace, vcf)
        while not (job := jobs.read_job(workspace, job.id)).is_over:
            time.sleep(0.5)
        server, base = serve(workspace, None, Path(folder))
        try:
            with sync_playwright() as started:
                browser = started.chromium.launch(
                    executable_path=shutil.which("chromium"), args=list(FLAGS)
                )
                for light in ("light", "dark"):
                    context = browser.new_context(color_scheme=light)
                    page = context.new_page()
                    page.set_default_timeout(120_000)
                    for name, (more, ready) in PAGES.items():
                        query = f"job={job.id}" if name == "score" else more
                        height = {"help": 900, "score": 1150}.get(name, 1300)
                        picture = take(page, f"{base}/{name}?{query}", ready, height)
                        target = asked.out / f"{name}-{light}.png"
                        target.write_bytes(shrink(picture))
                        print(target, target.stat().st_size)
                    context.close()
                browser.close()
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
