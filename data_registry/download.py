"""Fetching public files whole: resumed, checked, and with their provenance beside them.

A download lives in ``NAME.part`` beside its target; ``NAME.part.json`` remembers which
version of the file the bytes belong to. Only a file that was received whole and checked
is renamed to ``NAME``, and ``NAME.provenance.json`` says what it is. A killed process
leaves the parts, and the next one goes on from there.
"""

import contextlib
import email.utils
import errno
import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import time
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import numpy as np

from data_registry.catalogue import Catalogue, PublicSource, load_catalogue
from data_registry.errors import DownloadError

Progress = Callable[[int, int | None], None]
"""``on_progress(bytes_done, total)``; ``total`` is None where the server is silent."""

Status = Literal["downloaded", "resumed", "already complete", "adopted"]

_CHUNK = 1 << 20
_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Checksum:
    """A published checksum.

    Parameters
    ----------
    scheme
        ``"sha256"``, ``"md5"`` or ``"bsd-sum"``.
    value
        Lower-case hex; for ``"bsd-sum"`` the two numbers that ``sum -r`` prints, the
        16-bit sum and the count of 1,024-byte blocks, without leading zeros.
    """

    scheme: Literal["sha256", "md5", "bsd-sum"]
    value: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """One file that stands whole on disk.

    Parameters
    ----------
    path
        The file.
    url
        The address it was asked for at.
    status
        ``"adopted"`` is a file that lay there already and matches its checksum.
    bytes_total
        Its size.
    bytes_received
        Bytes that came over the network this time.
    sha256
        Our own sum of what is on disk.
    checked_by
        What vouches for the content: ``"sha256"``, ``"md5"``, ``"bsd-sum"``, or
        ``"size"`` where the publisher gives nothing better. Gzip files were
        decompressed to their end besides.
    """

    path: Path
    url: str
    status: Status
    bytes_total: int
    bytes_received: int
    sha256: str
    checked_by: str


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What ``fetch`` got, and what it did not get with the reason."""

    complete: tuple[tuple[PublicSource, Fetched], ...]
    failed: tuple[tuple[PublicSource, DownloadError], ...]


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums of a file's bytes."""

    size: int
    sha256: str
    md5: str
    bsd: str

    def of(self, scheme: str) -> str:
        return {"sha256": self.sha256, "md5": self.md5, "bsd-sum": self.bsd}[scheme]


class _Interrupted(Exception):  # noqa: N818 - not an error for the caller: it is retried
    """The transfer stopped for a reason that may pass."""

    def __init__(
        self, reason: str, *, wait_s: float | None = None, most_retries: int = 1000
    ) -> None:
        super().__init__(reason)
        self.wait_s, self.most_retries = wait_s, most_retries


def mirror_url(url: str, mirror: str) -> str:
    """Return where ``url`` lies on a mirror laid out as ``wget -x`` does: host first.

    ``https://ftp.ensembl.org/pub/x`` on ``http://here:8000`` is
    ``http://here:8000/ftp.ensembl.org/pub/x``. An empty mirror changes nothing.
    """
    if not mirror:
        return url
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}{query}"


def fetch(
    species: str,
    folder: Path,
    *,
    kinds: Collection[str] = (),
    keys: Collection[str] = (),
    everything: bool = False,
    mirror: str = "",
    catalogue: Catalogue | None = None,
    on_source: Callable[[PublicSource], Progress | None] | None = None,
    retries: int = 5,
    sleep: Callable[[float], None] = time.sleep,
) -> FetchReport:
    """Fetch the public sources of a species into a folder.

    One failed file does not stop the others; it is in the report's ``failed``.

    Parameters
    ----------
    species
        Any name the catalogue knows.
    folder
        Where the files go; made where it does not exist.
    kinds, keys, everything
        Which sources: see ``Catalogue.choose_sources``.
    mirror
        Base address of a mirror, or ``""``: see ``mirror_url``.
    catalogue
        Another catalogue than the package's own.
    on_source
        Called before each file; returns the file's progress callback, or None.
    retries
        Attempts without any new byte before a file is given up.
    sleep
        Waits that many seconds between attempts.

    Raises
    ------
    InputError
        No such species, kind or source.
    DownloadError
        The folder cannot be made.
    """
    chosen = (catalogue or load_catalogue()).choose_sources(
        species, kinds=kinds, keys=keys, everything=everything
    )
    complete: list[tuple[PublicSource, Fetched]] = []
    failed: list[tuple[PublicSource, DownloadError]] = []
    with open_client() as client:
        for source in chosen:
            on_progress = on_source(source) if on_source else None
            try:
                got = fetch_source(
                    source,
                    folder,
                    client=client,
                    mirror=mirror,
                    on_progress=on_progress,
                    retries=retries,
                    sleep=sleep,
                )
            except DownloadError as error:
                failed.append((source, error))
            else:
                complete.append((source, got))
    return FetchReport(tuple(complete), tuple(failed))


def fetch_source(
    source: PublicSource,
    folder: Path,
    *,
    client: httpx.Client,
    mirror: str = "",
    on_progress: Progress | None = None,
    retries: int = 5,
    sleep: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Fetch one source of the catalogue into ``folder``, with its published checksum.

    Raises
    ------
    DownloadError
        It could not be fetched whole; the message names address and remedy.
    """
    target = folder / source.file

    def find_checksum() -> Checksum | None:
        return published_checksum(
            source, client=client, mirror=mirror, retries=retries, sleep=sleep
        )

    return download(
        mirror_url(source.url, mirror),
        target,
        find_checksum=find_checksum,
        client=client,
        on_progress=on_progress,
        retries=retries,
        sleep=sleep,
        provenance={
            "source": source.key,
            "catalogue_url": source.url,
            "checksum_url": source.checksum_url,
            "kind": source.kind,
            "assembly": source.assembly,
            "provider": source.provider.name,
            "release": source.release,
            "licence": source.provider.licence,
            "licence_url": source.provider.licence_url,
            "citation": source.provider.citation,
        },
    )


def published_checksum(
    source: PublicSource,
    *,
    client: httpx.Client,
    mirror: str = "",
    retries: int = 5,
    sleep: Callable[[float], None] = time.sleep,
) -> Checksum | None:
    """Return the checksum that the publisher, or the catalogue, states; None without.

    Raises
    ------
    DownloadError
        The list of checksums does not answer.
    """
    if source.sha256:
        return Checksum("sha256", source.sha256)
    if not source.checksum_url:
        return None
    address = mirror_url(source.checksum_url, mirror)
    listing = _get_text(address, client=client, retries=retries, sleep=sleep)
    remote = urlsplit(source.url).path.rsplit("/", 1)[-1]
    return None if listing is None else find_in_listing(listing, remote)


def open_client() -> httpx.Client:
    """Return an HTTP client that follows redirects and waits a minute for bytes."""
    return httpx.Client(
        follow_redirects=True,
        timeout=httpx.Timeout(60.0, connect=30.0),
        # Byte ranges and checksums are of the stored bytes, so no transfer compression.
        headers={
            "Accept-Encoding": "identity",
            "User-Agent": f"cisgraph/{metadata.version('cisgraph')}",
        },
    )


def find_in_listing(listing: str, name: str) -> Checksum | None:
    """Find a file's checksum in a list of md5, sha256 or BSD sums; None where absent.

    Lines are ``HEX  NAME`` (``md5sum``, ``sha256sum``) or ``SUM BLOCKS NAME``
    (``sum -r``, as in Ensembl's CHECKSUMS).
    """
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) < 2 or fields[-1].lstrip("*").rsplit("/", 1)[-1] != name:
            continue
        if len(fields) == 3 and fields[0].isdigit() and fields[1].isdigit():
            return Checksum("bsd-sum", f"{int(fields[0])} {int(fields[1])}")
        if len(fields) == 2 and re.fullmatch(r"[0-9a-fA-F]{32}", fields[0]):
            return Checksum("md5", fields[0].lower())
        if len(fields) == 2 and re.fullmatch(r"[0-9a-fA-F]{64}", fields[0]):
            return Checksum("sha256", fields[0].lower())
    return None


def download(
    url: str,
    target: Path,
    *,
    client: httpx.Client,
    find_checksum: Callable[[], Checksum | None] = lambda: None,
    on_progress: Progress | None = None,
    retries: int = 5,
    sleep: Callable[[float], None] = time.sleep,
    provenance: dict[str, str] | None = None,
) -> Fetched:
    """Fetch one address into one file, whole and checked, or leave no such file.

    A file that an earlier call completed is not asked for again. An unfinished one is
    continued where the server proves (``If-Range``) that the file is still the same.

    Parameters
    ----------
    url
        http or https address.
    target
        The file to write. ``NAME.part``, ``NAME.part.json``, ``NAME.part.lock`` and
        ``NAME.provenance.json`` stand beside it.
    client
        HTTP client.
    find_checksum
        Called only where a file must be checked; returns the published checksum.
    on_progress
        Called with bytes on disk and the whole size.
    retries
        Attempts without any new byte before giving up.
    sleep
        Waits that many seconds.
    provenance
        Further entries of the provenance file.

    Raises
    ------
    DownloadError
        The address does not answer, answers something else, or its file fails its
        checks twice; the disk is full; the folder cannot be written; another process
        fetches the same file; or a file of other origin lies at ``target``.
    """
    record = {"url": url, "catalogue_url": url, **(provenance or {})}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target):
            done = _find_complete(record, target, find_checksum)
            if done is not None:
                if on_progress:
                    on_progress(done.bytes_total, done.bytes_total)
                return done
            transfer = _Transfer(url, target, client, on_progress, retries, sleep)
            return _complete(transfer, record, find_checksum)
    except OSError as error:
        raise _say_os_error(error, url, target) from error


def _complete(
    transfer: "_Transfer",
    record: dict[str, str],
    find_checksum: Callable[[], Checksum | None],
) -> Fetched:
    """Receive, check and rename; a file that fails its checks is fetched once more."""
    resumed = transfer.receive()
    checksum = find_checksum()
    problem, sums = _examine(transfer.part, transfer.target.name, checksum)
    if problem is not None:
        # A spoiled part must not be continued: the second attempt starts at byte 0.
        transfer.discard()
        resumed = transfer.receive()
        problem, sums = _examine(transfer.part, transfer.target.name, checksum)
    if problem is not None:
        transfer.discard()
        raise DownloadError(
            f"{transfer.url}: {problem}, twice in a row. The server's file or its list "
            f"of checksums is wrong, or something on the way changes it: try another "
            f"network or --mirror, or fetch it by hand and add it with `cisgraph add`"
        )
    _write_record(
        transfer.part,
        transfer.target,
        sums,
        checksum,
        {
            **record,
            "final_url": transfer.final_url,
            "etag": transfer.version.etag,
            "last_modified": transfer.version.last_modified,
        },
    )
    transfer.part.replace(transfer.target)
    transfer.discard()
    return Fetched(
        path=transfer.target,
        url=transfer.url,
        status="resumed" if resumed else "downloaded",
        bytes_total=sums.size,
        bytes_received=transfer.received,
        sha256=sums.sha256,
        checked_by=checksum.scheme if checksum else "size",
    )


def _write_record(
    file: Path,
    target: Path,
    sums: "_Sums",
    checksum: Checksum | None,
    record: dict[str, str],
) -> None:
    """Write the provenance of ``target``, whose bytes are in ``file``.

    It is written before the file gets its name: a file without its record would count
    as of other origin.
    """
    _write_json(
        _beside(target, ".provenance.json"),
        {
            **record,
            "fetched_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "size": sums.size,
            "sha256": sums.sha256,
            "md5": sums.md5,
            "checked_by": checksum.scheme if checksum else "size",
            "published_checksum": checksum.value if checksum else "",
            "mtime_ns": file.stat().st_mtime_ns,
        },
    )


def _find_complete(
    record: dict[str, str], target: Path, find_checksum: Callable[[], Checksum | None]
) -> Fetched | None:
    """Return the target where it is whole already, None where it must come."""
    url = record["url"]
    if not target.exists():
        return None
    if not target.is_file():
        raise DownloadError(f"{url}: {target} is in the way: no file. Move it away")
    known = _read_json(_beside(target, ".provenance.json"))
    stat = target.stat()
    if known.get("sha256") and known.get("size") is not None:
        if known.get("catalogue_url") != record["catalogue_url"]:
            return None  # the catalogue moved on to another release
        if stat.st_size != known["size"]:
            return None
        sha256 = str(known["sha256"])
        if stat.st_mtime_ns != known.get("mtime_ns") and (
            _sum_file(target).sha256 != sha256
        ):
            return None
        by = str(known.get("checked_by", "size"))
        return Fetched(target, url, "already complete", stat.st_size, 0, sha256, by)
    checksum = find_checksum()
    problem, sums = _examine(target, target.name, checksum)
    if checksum is None or problem is not None:
        why = problem or "no published checksum can tell whether it is the same"
        raise DownloadError(
            f"{url}: {target} lies there already, was not fetched by cisgraph, and "
            f"{why}. Move it away, or register it as it is with `cisgraph add`"
        )
    _write_record(target, target, sums, checksum, record)
    by = checksum.scheme
    return Fetched(target, url, "adopted", sums.size, 0, sums.sha256, by)


@dataclass(frozen=True, slots=True)
class _Version:
    """What a server says of one version of a file."""

    etag: str = ""
    last_modified: str = ""
    total: int | None = None

    @property
    def validator(self) -> str:
        """The value for ``If-Range``: a strong ETag or a date; ``""`` where neither."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified


class _Transfer:
    """The bytes of one address, received into ``NAME.part`` over several tries."""

    def __init__(
        self,
        url: str,
        target: Path,
        client: httpx.Client,
        on_progress: Progress | None,
        retries: int,
        sleep: Callable[[float], None],
    ) -> None:
        self.url, self.target = url, target
        self.part = _beside(target, ".part")
        self.final_url = url
        self.version = _Version()
        self.received = 0
        self._note = _beside(target, ".part.json")
        self._client, self._on_progress = client, on_progress
        self._retries, self._sleep = retries, sleep

    def discard(self) -> None:
        """Forget the part."""
        self.part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def receive(self) -> bool:
        """Receive until the part is whole; True where bytes of an earlier run count."""
        went_on = self._offset() > 0
        furthest, fruitless = self._offset(), 0
        while True:
            try:
                went_on = self._receive_once() and went_on
            except _Interrupted as stop:
                # New bytes reset the count, but a restart from zero that only gets as
                # far as before is no progress: without this a server that always drops
                # half-way would be asked for ever.
                here = self._offset()
                went_on = went_on and here > 0
                fruitless = 0 if here > furthest else fruitless + 1
                furthest = max(furthest, here)
                if fruitless > min(self._retries, stop.most_retries):
                    raise DownloadError(
                        f"{self.url}: gave up after {fruitless} attempts without new "
                        f"bytes ({stop}); {here:,} bytes are kept. Check the network "
                        f"and run the same command again to go on from there, or give "
                        f"--mirror"
                    ) from stop
                wait_s = (
                    2.0 ** max(fruitless, 1) if stop.wait_s is None else stop.wait_s
                )
                self._sleep(min(wait_s, _LONGEST_WAIT_S))
            else:
                return went_on

    def _offset(self) -> int:
        """Bytes of the part that may be continued; 0 where its version is unknown."""
        noted = _read_json(self._note)
        if noted.get("url") != self.url or not self.part.is_file():
            return 0
        version = _Version(
            str(noted.get("etag", "")),
            str(noted.get("last_modified", "")),
            noted.get("total"),
        )
        if not version.validator:
            return 0
        self.version = version
        return self.part.stat().st_size

    def _receive_once(self) -> bool:
        """Make one request; True where it went on from bytes on disk."""
        offset = self._offset()
        if offset and offset == self.version.total:
            return True  # killed between the last byte and the rename
        headers = {}
        if offset:
            headers = {
                "Range": f"bytes={offset}-",
                "If-Range": self.version.validator,
            }
        try:
            with self._client.stream("GET", self.url, headers=headers) as answer:
                return self._take(answer, offset)
        except httpx.TooManyRedirects as error:
            raise DownloadError(
                f"{self.url}: the address redirects in a circle. Check it in a browser"
            ) from error
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise DownloadError(
                f"{self.url}: not an http(s) address ({error}). Check the catalogue "
                f"or --mirror"
            ) from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            # Without a network each file should say so within seconds.
            raise _Interrupted(f"no connection: {error}", most_retries=2) from error
        except httpx.TransportError as error:
            raise _Interrupted(f"{type(error).__name__}: {error}") from error

    def _take(self, answer: httpx.Response, offset: int) -> bool:
        self._refuse_failure(answer, offset)
        total = _whole_size(answer)
        if answer.status_code == 206:
            known = self.version
            etag = answer.headers.get("etag", known.etag)
            if (
                _range_start(answer) != offset
                or (known.total is not None and total not in {None, known.total})
                # Some servers answer a range whatever If-Range says.
                or (known.etag and etag != known.etag)
            ):
                self.discard()
                raise _Interrupted(
                    "the server's file changed, or it sent another range"
                )
            total = known.total if total is None else total
        else:
            # 200: the server knows no ranges, or the file changed; start at byte 0.
            offset = 0
            self.part.unlink(missing_ok=True)
            self.version = _Version(
                answer.headers.get("etag", ""),
                answer.headers.get("last-modified", ""),
                total,
            )
            _write_json(self._note, {"url": self.url, **asdict(self.version)})
        self._refuse_encoding(answer)
        self._refuse_full_disk(offset, total)
        self.final_url = str(answer.url)
        done = offset
        # Unbuffered, and blocks as they come: a killed process loses no more than one.
        with self.part.open("ab", buffering=0) as file:
            if self._on_progress:
                self._on_progress(done, total)
            for block in answer.iter_raw():
                file.write(block)
                done += len(block)
                self.received += len(block)
                if self._on_progress:
                    self._on_progress(done, total)
            os.fsync(file.fileno())
        if total is not None and done != total:
            if done > total:
                self.discard()
            raise _Interrupted(f"{done:,} of {total:,} bytes came")
        return offset > 0

    def _refuse_failure(self, answer: httpx.Response, offset: int) -> None:
        code = answer.status_code
        if code in {200, 206}:
            return
        if code == 416:
            self.discard()
            raise _Interrupted(f"the server has no bytes after {offset:,}", wait_s=0.0)
        said = f"{self.url}: the server answered {code} {answer.reason_phrase}".rstrip()
        if code in _RETRIED_STATUS:
            raise _Interrupted(said, wait_s=_retry_after(answer))
        if code in {404, 410}:
            raise DownloadError(
                f"{said}. The file has moved or the release was retired: look for it "
                f"near that address, fetch it by hand and add it with `cisgraph add`, "
                f"or correct data_registry/catalogue.toml"
            )
        if code in {401, 403}:
            raise DownloadError(
                f"{said}. The server refuses; a proxy may ask for a login "
                f"(HTTPS_PROXY), or the file needs an account"
            )
        raise DownloadError(f"{said}. Open the address in a browser to see why")

    def _refuse_encoding(self, answer: httpx.Response) -> None:
        encoding = answer.headers.get("content-encoding", "identity").lower()
        packed = self.target.suffix.lower() in {".gz", ".bgz"}
        if encoding not in {"identity", ""} and not (packed and "gzip" in encoding):
            self.discard()
            raise DownloadError(
                f"{self.url}: the server packs the file on the way ({encoding}) though "
                f"asked not to, so it cannot be checked. Fetch it by hand and add it "
                f"with `cisgraph add`, or give --mirror"
            )

    def _refuse_full_disk(self, offset: int, total: int | None) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if total is not None and total - offset > free:
            raise DownloadError(
                f"{self.url}: {total - offset:,} bytes are to come and "
                f"{self.part.parent} has {free:,} bytes free. Free some space or name "
                f"another folder; what came so far is kept"
            )


def _whole_size(answer: httpx.Response) -> int | None:
    if answer.status_code == 206:
        found = re.fullmatch(
            r"bytes \d+-\d+/(\d+)", answer.headers.get("content-range", "").strip()
        )
        return int(found[1]) if found else None
    length = answer.headers.get("content-length", "")
    return int(length) if length.isdigit() else None


def _range_start(answer: httpx.Response) -> int | None:
    found = re.match(r"bytes (\d+)-", answer.headers.get("content-range", ""))
    return int(found[1]) if found else None


def _retry_after(answer: httpx.Response) -> float | None:
    value = answer.headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    when = email.utils.parsedate_tz(value) if value else None
    if when is None:
        return None
    return max(0.0, email.utils.mktime_tz(when) - time.time())


def _get_text(
    url: str, *, client: httpx.Client, retries: int, sleep: Callable[[float], None]
) -> str | None:
    """Return a small text file, None where there is none at that address."""
    reason = ""
    for attempt in range(retries + 1):
        wait_s: float | None = None
        try:
            answer = client.get(url)
        except (httpx.TransportError, httpx.TooManyRedirects) as error:
            reason = f"{type(error).__name__}: {error}"
        else:
            if answer.status_code == 200:
                return answer.text
            if answer.status_code in {404, 410}:
                return None
            reason = f"the server answered {answer.status_code}"
            if answer.status_code not in _RETRIED_STATUS:
                break
            wait_s = _retry_after(answer)
        if attempt < retries:
            wait_s = wait_s if wait_s is not None else 2.0 ** (attempt + 1)
            sleep(min(wait_s, _LONGEST_WAIT_S))
    raise DownloadError(
        f"{url}: the list of checksums could not be read ({reason}). "
        f"Run the same command again later"
    )


def _examine(
    path: Path, name: str, checksum: Checksum | None
) -> tuple[str | None, _Sums]:
    """Return what is wrong with the file (None: nothing) and its sums."""
    sums = _sum_file(path, bsd=checksum is not None and checksum.scheme == "bsd-sum")
    if checksum and (found := sums.of(checksum.scheme)) != checksum.value:
        problem = f"its {checksum.scheme} is {found}, published is {checksum.value}"
        return problem, sums
    if sums.size == 0:
        return "the file is empty", sums
    with path.open("rb") as file:
        head = file.read(512)
    if head.lstrip()[:64].lower().startswith((b"<!doctype html", b"<html")):
        return "the server sent a web page in its place", sums
    if head.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(path, "rb") as unpacked:
                while unpacked.read(_CHUNK):
                    pass
        except (EOFError, OSError, zlib.error) as error:
            return f"the gzip file is damaged or cut short ({error})", sums
    elif name.lower().endswith((".gz", ".bgz")):
        return "it is named .gz and is no gzip file", sums
    return None, sums


def _sum_file(path: Path, *, bsd: bool = False) -> _Sums:
    sha256 = hashlib.sha256()
    md5 = hashlib.md5(usedforsecurity=False)
    add_bsd = _bsd_adder() if bsd else None
    bsd_sum, size = 0, 0
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            sha256.update(block)
            md5.update(block)
            size += len(block)
            if add_bsd:
                bsd_sum = int(add_bsd(bsd_sum, np.frombuffer(block, dtype=np.uint8)))
    return _Sums(
        size, sha256.hexdigest(), md5.hexdigest(), f"{bsd_sum} {-(-size // 1024)}"
    )


@cache
def _bsd_adder() -> Callable[[int, np.ndarray[Any, np.dtype[np.uint8]]], int]:
    """Return the compiled step of ``sum -r``: rotate 16 bits right, add a byte."""
    import numba

    def add(total: int, block: np.ndarray[Any, np.dtype[np.uint8]]) -> int:
        for byte in block:
            total = ((total >> 1) + ((total & 1) << 15) + byte) & 0xFFFF
        return total

    compiled: Callable[[int, np.ndarray[Any, np.dtype[np.uint8]]], int]
    compiled = numba.njit(add)
    return compiled


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(target.name + suffix)


def _read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object; empty where there is none or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    """Write whole or not at all."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the file's lock; the kernel frees it when the process dies."""
    lock = _beside(target, ".part.lock")
    while True:
        with lock.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DownloadError(
                    f"{target}: another process is fetching this file. Wait for it"
                ) from error
            # The last holder may have removed the name between our open and our lock.
            if not lock.exists() or not os.path.samestat(
                lock.stat(), os.fstat(handle.fileno())
            ):
                continue
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _say_os_error(error: OSError, url: str, target: Path) -> DownloadError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        remedy = "The disk or quota is full: free some space and run again to go on"
    elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        remedy = "The folder cannot be written: name another or change its permissions"
    else:
        remedy = "Check the folder's disk and name another folder if it is damaged"
    return DownloadError(f"{url}: writing {target} failed ({error}). {remedy}")
