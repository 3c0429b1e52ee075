"""Score a file: give a VCF, follow the run, see where every allele went."""

import secrets
import shutil
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal
from urllib.parse import quote

import streamlit as st

from dashboards import jobs
from dashboards.app import accounting, exports, links, navigation, picture, tables
from dashboards.app.context import Context, context
from dashboards.app.filters import Filter
from dashboards.app.offer import Result, job_result_name
from dashboards.app.scores import open_scores
from dashboards.app.screens.region import COLUMNS
from data_registry.coordinates import parse_region
from data_registry.errors import InputError, MalformedFileError, PlatformError
from data_registry.workspace import require_file, written_beside
from variant_effect.vcf import VcfReader

_BLOCK: Final = 1 << 20
_SHOWN: Final = 20
_COLOURS: Final[dict[jobs.State, Literal["green", "red", "gray", "blue", "orange"]]] = {
    "finished": "green", "failed": "red", "cancelled": "gray", "running": "blue",
    "queued": "orange",
}  # fmt: skip


def show() -> None:
    """Draw the page."""
    found = context()
    asked = links.read("job")
    if asked:
        _follow(found, asked)
        with st.container(key="noprint_again"):
            st.button("Score another file", on_click=links.write, kwargs={"job": None})
    else:
        _ask(found)
    _list_jobs(found)


# -- asking --------------------------------------------------------------------------


def _ask(found: Context) -> None:
    st.write(
        "A VCF or BCF of any size. Every ALT allele comes back scored with its evidence, "
        "or with the reason why not. Nothing leaves this machine."
    )
    way = st.segmented_control(
        "From", ["upload", "path"], default="upload", key="score_way", required=True,
        format_func={"upload": "Upload a file", "path": "A path on this machine"}.__getitem__,
        label_visibility="collapsed",
    )  # fmt: skip
    uploaded, path = None, ""
    if way == "upload":
        uploaded = st.file_uploader(
            "VCF, VCF.gz or BCF", key="score_upload",
            help="Large files are better given by their path: they are not copied then.",
        )  # fmt: skip
    else:
        path = st.text_input(
            "Path", key="score_path", placeholder="/data/lines.vcf.gz",
            help="Read where it lies; it must stay there until the job is over.",
        )  # fmt: skip
    regions = st.text_input(
        "Only these places", key="score_regions", placeholder="all",
        help="chr:start-end, 1-based; comma between several.",
    )  # fmt: skip
    if st.button("Score", type="primary", disabled=not (uploaded or path.strip())):
        try:
            job = _submit(found, uploaded, path.strip(), regions)
        except PlatformError as error:
            st.error(
                str(error), title="This file cannot be scored", icon=":material/error:"
            )
            return
        links.write(job=job.id)
        st.rerun()


def _submit(found: Context, uploaded: Any, path: str, regions: str) -> jobs.Job:  # noqa: ANN401
    """Check the beginning of the file, then start the job.

    Raises
    ------
    InputError
        The file is no VCF, or a region is none.
    """
    wanted = [one.strip() for one in regions.split(",") if one.strip()]
    for region in wanted:
        parse_region(region)
    if uploaded is not None:
        name = jobs.shown_name(uploaded.name)
        vcf = keep_upload(found.workspace, uploaded, name)
    else:
        vcf = require_file(Path(path))
        name = vcf.name
    check_start(vcf, name)
    return jobs.submit(found.workspace, vcf, name=name, regions=wanted)


def keep_upload(workspace: Path, uploaded: BinaryIO, name: str) -> Path:
    """Keep an uploaded file under a name made here; it goes when its job is removed.

    Raises
    ------
    MalformedFileError
        The file is empty.
    """
    uploaded.seek(0)
    target = jobs.uploads_of(workspace) / f"upload-{secrets.token_hex(16)}"
    with written_beside(target) as beside, beside.open("wb") as file:
        shutil.copyfileobj(uploaded, file, _BLOCK)
    if not target.stat().st_size:
        target.unlink()
        raise MalformedFileError(
            name, "the file is empty", remedy="Choose another file"
        )
    return target


def check_start(vcf: Path, name: str) -> None:
    """Read the header and the first records of a file.

    Raises
    ------
    InputError
        It is no VCF; the message calls the file by the name its owner knows.
    """
    try:
        reader = VcfReader(vcf)
        try:
            next(iter(reader.chunks(1)), None)
        finally:
            reader.close()
    except MalformedFileError as error:
        if name != vcf.name:
            vcf.unlink(missing_ok=True)
        raise MalformedFileError(
            name, error.problem, line=error.line, remedy=error.remedy
        ) from error
    except (OSError, UnicodeError, EOFError) as error:
        raise MalformedFileError(
            name, f"cannot be read ({str(error)[:80]})", remedy="Give a VCF or BCF"
        ) from error


# -- following -----------------------------------------------------------------------


def duration(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _follow(found: Context, asked: str) -> None:
    job = jobs.read_job(found.workspace, asked)
    st.subheader(job.request.name)
    if job.request.regions:
        st.caption("only " + ", ".join(job.request.regions))
    if not job.is_over:
        _progress(found, asked)
        return
    if job.state == "failed":
        st.error(job.problem, title="This run failed", icon=":material/error:")
    elif job.state == "cancelled":
        st.info("Cancelled. Nothing of it is kept but this line.")
    else:
        _show_result(found, job)


@st.fragment(run_every=0.7)
def _progress(found: Context, asked: str) -> None:
    """Draw how far it is; the page is drawn anew once it is over."""
    job = jobs.read_job(found.workspace, asked)
    if job.is_over:
        st.rerun()
    share = min(job.done / job.total, 1.0) if job.total else 0.0
    words = job.stage
    if job.total:
        words += f" · {job.done:,} of {job.total:,} records"
    if job.remaining_s is not None:
        words += f" · about {duration(job.remaining_s)} left"
    st.progress(share, text=words)
    st.caption(
        f"Job {job.id}. It goes on if this page is closed: the address of this page finds "
        "it again."
    )
    if st.button("Cancel", key="cancel_job", icon=":material/stop:"):
        jobs.cancel(found.workspace, asked)
    if job.accounting:
        picture.show_picture(
            accounting.accounting_picture(job.accounting), "accounting", key="live"
        )


def _show_result(found: Context, job: jobs.Job) -> None:
    if job.started_at and job.ended_at:
        st.caption(f"finished in {duration(job.ended_at - job.started_at)}")
    picture.show_picture(
        accounting.accounting_picture(job.accounting),
        f"accounting-{job.id}",
        key="account",
    )
    exports.offer_table(
        accounting.accounting_table(job.accounting),
        f"accounting-{job.id}",
        key="account",
    )
    for sentence in job.missing_layers:
        st.caption(f"Not known here: {sentence}")
    parquet = [output for output in job.outputs if output.name.endswith(".parquet")]
    if not parquet:
        raise InputError(f"job {job.id} made no Parquet file")
    result = Result(job_result_name(job), job.folder / parquet[0].name)
    scores = open_scores(result)
    columns = tuple(name for name in COLUMNS[found.door] if name in scores.columns)
    everything = Filter()
    frame = tables.with_percentile(scores, scores.page(
        everything, scores.known(everything), columns=columns, sort="prior_score",
        limit=_SHOWN,
    ))  # fmt: skip
    st.markdown(f"**The {min(_SHOWN, len(frame))} highest**")
    st.dataframe(
        frame, hide_index=True, placeholder="",
        column_config=tables.column_settings(scores, list(frame.columns)),
    )  # fmt: skip
    navigation.link("variants", "All of them, with filters", scores=result.name)
    base = f"/data/{quote(found.name, safe='')}/variants"
    query = links.as_query({"scores": result.name, "status": "any"})
    exports.links(
        {
            form.upper(): f"{base}.{form}?{query}"
            for form in ("tsv", "csv", "parquet", "bed")
        }
    )


# -- all jobs ------------------------------------------------------------------------


def _list_jobs(found: Context) -> None:
    held = jobs.list_jobs(found.workspace)
    if not held:
        return
    st.subheader("Jobs of this workspace")
    for job in held[:30]:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(job.state, color=_COLOURS[job.state])
            navigation.link("score", job.request.name, job=job.id)
            counts = job.accounting
            said = (
                f"{counts['scored']:,} of {counts['input_alleles']:,} alleles scored"
                if counts.get("input_alleles")
                else job.problem[:120] or job.stage
            )
            st.caption(f"{job.id} · {said}", width="content")
