"""Registered public sources whose file has changed at its publisher's.

A source that ``cisgraph fetch`` registered carries its catalogue key as its name, and
``downloads/`` beside it the record of what came: address, ETag, date, published checksum.
Asking is cheap: the list of checksums where there is one, else the file's head.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx

from data_registry.catalogue import Catalogue, PublicSource, load_catalogue
from data_registry.download import (
    fetch_source,
    mirror_url,
    open_client,
    published_checksum,
)
from data_registry.errors import DownloadError
from data_registry.store import Store

Change = Literal["unchanged", "moved", "changed", "unknown"]
"""``moved``: the catalogue names another address or release than the one fetched."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was found out about one public source.

    Parameters
    ----------
    reason
        What differs, or why it cannot be told.
    """

    source: PublicSource
    change: Change
    reason: str = ""

    @property
    def is_new(self) -> bool:
        """Whether there is something to fetch."""
        return self.change in ("moved", "changed")


def ask_publishers(
    store: Store,
    *,
    mirror: str = "",
    catalogue: Catalogue | None = None,
) -> list[Asked]:
    """Ask the publisher of each registered public source whether its file has changed.

    Nobody is asked, and no connection opened, where none is registered. A publisher that
    does not answer is ``unknown`` with the reason.
    """
    known = {source.key: source for source in (catalogue or load_catalogue()).sources}
    mine = [known[s.name] for s in store.sources() if s.name in known]
    if not mine:
        return []
    folder = store.workspace.path / "downloads"
    with open_client() as client:
        return [_ask(one, folder, client, mirror) for one in mine]


def fetch_again(
    asked: Asked, folder: Path, earlier: Path, *, mirror: str = "", retries: int = 5
) -> Path:
    """Fetch a changed source into ``folder``; a killed call is continued.

    Parameters
    ----------
    folder
        Where the file goes; the older file of its name there is replaced.
    earlier
        The folder that ``asked`` compared with: a record in ``folder`` that is not the
        one there is of the new file.

    Raises
    ------
    DownloadError
        It could not be fetched whole.
    """
    target = folder / asked.source.file
    if _record_of(target) == _record_of(earlier / asked.source.file):
        for old in (target, _record_path(target)):
            old.unlink(missing_ok=True)
    with open_client() as client:
        return fetch_source(
            asked.source, folder, client=client, mirror=mirror, retries=retries
        ).path


def _ask(
    source: PublicSource, folder: Path, client: httpx.Client, mirror: str
) -> Asked:
    noted = _record_of(folder / source.file)
    if not noted:
        return Asked(source, "unknown", "no record of its download is kept")
    if noted.get("catalogue_url") != source.url:
        return Asked(source, "moved", f"release {source.release}: {source.url}")
    try:
        listed = published_checksum(source, client=client, mirror=mirror, retries=1)
        if listed is not None:
            if listed.value == noted.get("published_checksum"):
                return Asked(source, "unchanged")
            return Asked(source, "changed", f"published {listed.scheme} {listed.value}")
        answer = client.head(mirror_url(source.url, mirror))
    except (DownloadError, httpx.HTTPError) as error:
        return Asked(source, "unknown", f"{source.url}: {error}")
    if answer.status_code != 200:
        said = f"{source.url}: the server answered {answer.status_code}"
        return Asked(source, "unknown", said)
    for header, key in (("etag", "etag"), ("last-modified", "last_modified")):
        now, then = answer.headers.get(header, ""), noted.get(key, "")
        if now and then:
            if now == then:
                return Asked(source, "unchanged")
            return Asked(source, "changed", f"{header} {now}")
    size = answer.headers.get("content-length", "")
    if size.isdigit() and int(size) != noted.get("size"):
        return Asked(source, "changed", f"{int(size):,} bytes")
    if size.isdigit():
        return Asked(source, "unchanged", "of the same size; nothing better is said")
    return Asked(source, "unknown", "the server says neither version nor size")


def _record_path(target: Path) -> Path:
    return target.with_name(target.name + ".provenance.json")


def _record_of(target: Path) -> dict[str, Any]:
    try:
        content = json.loads(_record_path(target).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
