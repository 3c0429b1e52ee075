"""What the browser fetches beside the pages: igv.js, sequence, signals, features, exports.

Every route takes names and numbers that are looked up (``dashboards.app.offer``, the
registry); none takes a path.
"""

import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import duckdb
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

from dashboards.app import layers
from dashboards.app.features import draw
from dashboards.app.filters import describe_filter, read_filter
from dashboards.app.navigation import FIRST, SCREENS
from dashboards.app.notebook import lists
from dashboards.app.offer import current
from dashboards.app.scores import open_scores
from data_registry.coordinates import Region
from data_registry.errors import InputError, MissingOptionalError, PlatformError

_FORMS: Final = {
    "csv": "text/csv", "tsv": "text/tab-separated-values",
    "parquet": "application/vnd.apache.parquet", "bed": "text/plain",
}  # fmt: skip


def igv_script() -> Path:
    """Return igv.js as the installed package ``igv-notebook`` holds it.

    Raises
    ------
    MissingOptionalError
        It is not installed.
    """
    # Found, not imported: its Python side needs a notebook.
    found = importlib.util.find_spec("igv_notebook")
    for folder in (found.submodule_search_locations or []) if found else []:
        script = Path(folder) / "js" / "igv.min.js"
        if script.is_file():
            return script
    raise MissingOptionalError(
        "the genome browser needs the 'igv-notebook' package: "
        "pip install 'cisgraph[dashboard]'"
    )


def _answers(make: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Turn our errors into plain answers; nothing of the machine is shown."""

    def answer(request: Request) -> Response:
        try:
            return make(request)
        except InputError as error:
            return JSONResponse({"error": str(error)}, status_code=404)
        except PlatformError as error:
            return JSONResponse({"error": str(error)}, status_code=503)
        except duckdb.Error:
            return JSONResponse({"error": "the query failed"}, status_code=500)

    return answer


def _script(_: Request) -> Response:
    return FileResponse(
        igv_script(), media_type="text/javascript",
        headers={"Cache-Control": "max-age=86400"},
    )  # fmt: skip


def _genome(request: Request) -> Response:
    _, workspace = current().workspace(request.path_params["workspace"])
    is_index = request.path_params["part"] == "genome.fa.fai"
    if not is_index and request.path_params["part"] != "genome.fa":
        raise InputError("there is no such file")
    # Read in ranges: a few hundred bytes a view.
    return FileResponse(
        layers.genome_file(workspace, index=is_index), media_type="text/plain"
    )


def _signal(request: Request) -> Response:
    _, workspace = current().workspace(request.path_params["workspace"])
    return FileResponse(
        layers.source_file(workspace, int(request.path_params["source"])),
        media_type="application/octet-stream",
    )


def _features(request: Request) -> Response:
    _, workspace = current().workspace(request.path_params["workspace"])
    asked = request.query_params
    result = current().result(workspace, asked.get("scores") or None)
    try:
        start, end = int(float(asked["start"])), int(float(asked["end"]))
        contig = asked["chr"]
    except (KeyError, ValueError):
        raise InputError("features need chr, start and end") from None
    region = Region(contig, max(start, 0), max(end, start + 1, 1))
    drawn = draw(request.path_params["track"], workspace, result, region)
    return JSONResponse({"features": drawn.features, "left_out": drawn.left_out})


def _export(request: Request) -> Response:
    """Write all alleles that a filter passes; the address is the page's own."""
    form = request.path_params["form"]
    if form not in _FORMS:
        raise InputError(f"no format {form!r}; there are: {', '.join(_FORMS)}")
    name, workspace = current().workspace(request.path_params["workspace"])
    asked = request.query_params
    result = current().result(workspace, asked.get("scores") or None)
    if result is None:
        raise InputError("nothing has been scored in this workspace yet")
    scores = open_scores(result)
    chosen = read_filter({key: asked.getlist(key) for key in asked})
    known = scores.known(chosen, lists(name).get(chosen.picked, ()))
    handle, written = tempfile.mkstemp(prefix="cisgraph-export-", suffix=f".{form}")
    os.close(handle)
    target = Path(written)
    try:
        scores.export(
            target, form, chosen, known, columns=asked.getlist("column"),
            sort=asked.get("sort", ""), ascending=asked.get("order") == "up",
        )  # fmt: skip
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return FileResponse(
        target, media_type=_FORMS[form], filename=f"{name}-variants.{form}",
        headers={"X-Filter": describe_filter(chosen).encode("ascii", "replace").decode()},
        background=BackgroundTask(target.unlink, missing_ok=True),
    )  # fmt: skip


def _page(_: Request) -> Response:
    """Answer a page's own address, with the place of the server in it.

    Streamlit's script would otherwise look for the server below the page first
    (``/region/_stcore/health``), fail, and leave an error in the browser's console.
    """
    import streamlit

    index = Path(streamlit.__file__).parent / "static" / "index.html"
    told = (
        '<script>window.__streamlit = {BACKEND_BASE_URL: location.origin + "/", '
        'MAIN_PAGE_BASE_URL: location.origin + "/"}</script>'
    )
    text = index.read_text(encoding="utf-8").replace("<head>", f"<head>{told}", 1)
    return HTMLResponse(text, headers={"Cache-Control": "no-cache"})


def _first_page(request: Request) -> Response:
    """Send the first page's name to its address, which is the bare one."""
    return RedirectResponse(f"/?{request.url.query}" if request.url.query else "/")


ROUTES: Final = [
    Route(f"/{FIRST}", _first_page),
    *(Route(f"/{name}", _page) for name in SCREENS if name != FIRST),
    Route("/data/igv.min.js", _answers(_script)),
    Route("/data/{workspace}/features/{track}", _answers(_features)),
    Route("/data/{workspace}/signal/{source:int}", _answers(_signal)),
    Route("/data/{workspace}/variants.{form}", _answers(_export)),
    Route("/data/{workspace}/{part}", _answers(_genome)),
]
