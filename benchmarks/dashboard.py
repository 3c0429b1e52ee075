"""How fast the dashboard answers, measured inside the browser.

Starts ``cisgraph dashboard`` on a workspace and a result of so many alleles, opens it in
headless Chromium, and times, with the page's own clock: the first screen of each page in a
fresh browser, and each filter of the Variants page from the person's input until the new
count stands there and until the page's script rests (table and picture drawn).

    python benchmarks/dashboard.py --workspace yeast --scores yeast12.parquet

Every filter is asked once with each of its values, so none is answered from memory.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import describe_machine

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "results" / "dashboard.json"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
)  # fmt: skip
RESTS = (
    "document.querySelector('[data-testid=stApp]')"
    "?.getAttribute('data-test-script-state') === 'notRunning'"
)
FIRST_SCREEN_S, FILTER_S = 2.0, 0.5

# In the page: from the input event to a count that differs, and to a script at rest.
STOPWATCH = """
() => {
  const count = () => document.querySelector('h3')?.textContent;
  const before = count();
  const watch = { started: null, counted: null };
  const start = () => { if (watch.started === null) watch.started = performance.now(); };
  for (const kind of ['pointerdown', 'keydown'])
    document.addEventListener(kind, start, { capture: true, once: true });
  window.cisgraphWatch = watch;
  const app = document.querySelector('[data-testid=stApp]');
  let ran = false;
  const look = () => {
    const state = app.getAttribute('data-test-script-state');
    if (watch.started !== null && state === 'running') ran = true;
    if (watch.started !== null && watch.counted === null && count() !== before)
      watch.counted = performance.now() - watch.started;
    if (ran && state === 'notRunning') watch.rested = performance.now() - watch.started;
    if (watch.rested === undefined) requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""


def measured(page: Page, act: Callable[[], object]) -> dict[str, float | None]:
    """Time one action by the page's clock."""
    page.evaluate(STOPWATCH)
    act()
    page.wait_for_function("window.cisgraphWatch.rested !== undefined")
    held = page.evaluate("window.cisgraphWatch")
    counted = held["counted"]
    return {
        "count_s": None if counted is None else counted / 1000,
        "all_s": held["rested"] / 1000,
    }


def first_screen(browser: Browser, address: str, ready: str) -> dict[str, float]:
    """Open an address in a browser that holds nothing of it."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.goto(address, wait_until="commit")
    seen = page.wait_for_function(
        f"document.querySelector('h1') && document.querySelector({ready!r}) "
        "&& performance.now()"
    ).json_value()
    rest = page.wait_for_function(f"{RESTS} && performance.now()").json_value()
    context.close()
    return {"seen_s": seen / 1000, "rest_s": rest / 1000}


def filters(page: Page, base: str, workspace: str, scores: str) -> dict[str, list[Any]]:
    """Time the filters of the Variants page, each with several values."""
    address = f"{base}/variants?workspace={workspace}&scores={scores}"
    found: dict[str, list[Any]] = {}

    def opened(more: str = "") -> None:
        page.goto(address + more)
        page.locator("h3").first.wait_for()
        page.wait_for_function(RESTS)
        page.wait_for_timeout(400)

    def time_it(name: str, act: Callable[[], object]) -> None:
        found.setdefault(name, []).append(measured(page, act))
        page.wait_for_timeout(300)

    opened()
    for impact in ("HIGH", "MODERATE", "LOW"):
        time_it("impact", page.get_by_role("button", name=impact, exact=True).click)

    def typed(label: str, text: str) -> Callable[[], None]:
        box = page.get_by_label(label, exact=True)
        # All but the key that sends it, so that typing itself is not timed.
        box.fill(text)
        return lambda: box.press("Enter")

    opened()
    for gene in page_genes(page, base, workspace):
        time_it("gene", typed("Gene", gene))
    opened()
    for place in ("1-200000", "100000-150000", "50000-60000"):
        contig = page_contig(page, base, workspace)
        time_it("place", typed("Place", f"{contig}:{place}"))
    opened()
    thumb = page.get_by_role("slider", name="Percentile of the score").first
    for key in ("PageUp", "PageUp", "ArrowRight"):
        time_it("percentile", lambda key=key: thumb.press(key))
    for group in ("", "&group=" + found_group(page, base, workspace, scores)):
        opened(group)
        thumb = page.get_by_role("slider", name="Minor-allele frequency (MAF)").first
        for key in ("PageUp", "ArrowRight", "ArrowRight"):
            name = "MAF in a group" if group else "MAF"
            time_it(name, lambda key=key, thumb=thumb: thumb.press(key))
    opened()
    for element in ("any", "none", "promoter"):
        box = page.get_by_label("Regulatory element (CRE)", exact=True)
        box.click()
        choice = page.get_by_role("option", name=element, exact=True)
        time_it("element", choice.click)
    opened()
    for sort in ("conservation", "ALT frequency", "distance"):
        page.get_by_label("Sort by", exact=True).click()
        page.get_by_label("Sort by", exact=True).fill(sort)
        choice = page.get_by_role("option", name=sort, exact=True)
        if choice.count():
            time_it("sort", choice.click)
    opened()
    for number in ("2", "3"):
        time_it(
            "next page",
            page.get_by_role("button", name=f"Page {number}", exact=True).click,
        )
    opened()
    time_it("compare two scores", page.get_by_text("Compare two scores").click)
    return found


def page_genes(page: Page, base: str, workspace: str) -> list[str]:
    """Names of genes on the first contig."""
    contig = page_contig(page, base, workspace)
    where = f"{base}/data/{workspace}/features/genes?chr={contig}&start=0&end=100000"
    names = [one["gene"] for one in page.request.get(where).json()["features"]]
    return list(dict.fromkeys(names))[:3]


def page_contig(page: Page, base: str, workspace: str) -> str:
    """The first contig."""
    return (
        page.request.get(f"{base}/data/{workspace}/genome.fa.fai").text().split("\t")[0]
    )


def found_group(page: Page, base: str, workspace: str, scores: str) -> str:
    """A panel's name, from the counts of the result."""
    where = f"{base}/data/{workspace}/variants.csv?scores={scores}&column=panel_counts&maf_from=0.01&region={page_contig(page, base, workspace)}:1-100000"
    text = page.request.get(where).text().splitlines()
    return text[1].strip('"').split(";")[0].split("=")[0]


def serve(
    workspace: Path, scores: Path | None, home: Path
) -> tuple[subprocess.Popen[bytes], str]:
    """Start the dashboard on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "dashboards.cli", "dashboard", "-w", str(workspace),
         *(["--scores", str(scores)] if scores else []), "--port", str(port)],
        cwd=ROOT, stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(home)},
    )  # fmt: skip
    base = f"http://127.0.0.1:{port}"
    for _ in range(600):
        with suppress(OSError):
            urllib.request.urlopen(f"{base}/_stcore/health").close()  # noqa: S310
            return server, base
        time.sleep(0.1)
    raise TimeoutError("the dashboard did not start")


def shown(values: list[float]) -> dict[str, float]:
    """Median and largest."""
    return {
        "n": len(values), "median": round(float(np.median(values)), 3),
        "largest": round(max(values), 3),
    }  # fmt: skip


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--scores", type=Path, required=True, help="Parquet of scores.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--note", default="", help="What else ran on the machine.")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    chromium = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder:
        million = Path(folder) / "million.parquet"
        # A plain copy, with the row groups of the file as written.
        duckdb.sql(
            f"COPY (SELECT * FROM '{asked.scores}' LIMIT {asked.rows}) TO '{million}' "  # noqa: S608
            "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 50000)"
        )
        n_rows = duckdb.sql(f"SELECT count(*) FROM '{million}'").fetchall()[0][0]  # noqa: S608
        server, base = serve(asked.workspace, million, Path(folder))
        name = asked.workspace.resolve().name
        machine = describe_machine()
        try:
            with sync_playwright() as started:
                browser = started.chromium.launch(
                    executable_path=chromium, args=list(FLAGS)
                )
                common = f"workspace={name}&scores={million.name}"
                table = "[data-testid=stDataFrame] canvas"
                pages = {
                    "workspace": (f"{base}/?{common}", table),
                    "variants": (f"{base}/variants?{common}", table),
                    "region": (f"{base}/region?{common}", ".igv-track-label, h1"),
                    "help": (f"{base}/help?{common}", "h1"),
                }
                screens = {
                    page: [first_screen(browser, *where) for _ in range(asked.repeats)]
                    for page, where in pages.items()
                }
                context = browser.new_context(viewport={"width": 1400, "height": 1400})
                timed = filters(context.new_page(), base, name, million.name)
                version = browser.version
                browser.close()
        finally:
            server.terminate()
            server.wait()
    everything = [one["all_s"] for runs in timed.values() for one in runs]
    seen = [one["seen_s"] for runs in screens.values() for one in runs]
    figures = {
        "rows": n_rows,
        "chromium": version,
        "machine": machine,
        "note": asked.note,
        "load_average_at_end": round(os.getloadavg()[0], 1),
        "first_screen": {
            page: {key: shown([run[key] for run in runs]) for key in ("seen_s", "rest_s")}
            for page, runs in screens.items()
        },
        "filters": {
            kind: {
                "count_s": shown([r["count_s"] for r in runs if r["count_s"] is not None])
                if any(r["count_s"] is not None for r in runs)
                else None,
                "all_s": shown([r["all_s"] for r in runs]),
            }
            for kind, runs in timed.items()
        },
        "bars": {
            "first screen under 2 s": f"{sum(s < FIRST_SCREEN_S for s in seen)} of {len(seen)}",
            "filter under 0.5 s": f"{sum(s < FILTER_S for s in everything)} of {len(everything)}",
        },
    }  # fmt: skip
    asked.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
