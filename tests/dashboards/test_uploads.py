"""Uploads: what is kept, what is refused, and that nothing stays behind."""

import gzip
import io
import pickle
import zipfile
import zlib
from pathlib import Path

import pysam
import pytest

from dashboards.uploads import store_upload
from data_registry.errors import InputError, MalformedFileError, TooLargeError
from tests.organisms import snv, vcf_text

TEXT = vcf_text([snv("chr1", p) for p in range(1, 300)]).encode()


def pieces(data: bytes, size: int = 7) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def bgzipped(data: bytes, folder: Path) -> bytes:
    (folder / "plain").write_bytes(data)
    pysam.tabix_compress(str(folder / "plain"), str(folder / "packed"))
    return (folder / "packed").read_bytes()


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("lines.vcf", data)
    return file.getvalue()


def test_text_of_exactly_a_few_pieces(tmp_path: Path) -> None:
    for n in ((1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20):
        text = TEXT + b"x" * (n - len(TEXT))
        for data in ([gzip.compress(text)], pieces(gzip.compress(text), 999)):
            assert store_upload(data, tmp_path, "x").read_bytes() == text


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_what_arrives_is_kept_as_text(tmp_path: Path, size: int) -> None:
    packed = [
        TEXT, gzip.compress(TEXT), bgzipped(TEXT, tmp_path),
        gzip.compress(TEXT[:500]) + gzip.compress(TEXT[500:]), b"\xef\xbb\xbf" + TEXT,
    ]  # fmt: skip
    for data in packed:
        path = store_upload(pieces(data, size), tmp_path / "u", "../../etc/passwd")
        assert path.read_bytes().removeprefix(b"\xef\xbb\xbf") == TEXT
        assert path.parent == tmp_path / "u"
        assert path.name.startswith("upload-")
        assert path.stat().st_mode & 0o077 == 0


def gzip_bomb(n_bytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    data = packer.compress(b"##fileformat=VCFv4.2\n")
    for _ in range(n_bytes >> 20):
        data += packer.compress(b"#" * (1 << 20))
    return data + packer.flush()


def test_a_gzip_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    bomb = gzip_bomb(200 << 20)
    assert len(bomb) < 300_000
    largest = 0

    def watched():
        nonlocal largest
        for piece in pieces(bomb, 1 << 16):
            yield piece
            (file,) = tmp_path.iterdir()
            largest = max(largest, file.stat().st_size)

    with pytest.raises(TooLargeError, match="expands to more than 5,000,000 bytes"):
        store_upload(watched(), tmp_path, "b.vcf.gz", most_expanded_bytes=5_000_000)
    assert largest <= 5_000_000
    assert list(tmp_path.iterdir()) == []


def test_a_gzip_in_a_gzip_is_no_vcf(tmp_path: Path) -> None:
    with pytest.raises(MalformedFileError, match="no VCF"):
        store_upload([gzip.compress(gzip_bomb(50 << 20))], tmp_path, "b.vcf.gz")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no VCF"),
        (b"#", "no VCF"),
        (zipped(b"0" * 10_000_000), "zip archive"),
        (pickle.dumps(print), "Python pickle"),
        (b"BCF\x02\x02" + bytes(40), "BCF"),
        (gzip.compress(b"BCF\x02\x02" + bytes(40)), "BCF"),
        (b"<html>" + bytes(40), "HTML"),
        (b"chr1\t1\t.\tA\tC\t.\t.\t.\n" * 9, "no VCF"),
        (gzip.compress(TEXT)[:-20], "end too early"),
        (gzip.compress(TEXT)[:60] + b"x" * 60, "damaged|too early"),
        (gzip.compress(TEXT) + b"tail of something", "follows|damaged"),
        (TEXT + b"\0", "NUL"),
    ],
)
def test_what_is_no_vcf_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    for size in (5, 1 << 20):
        with pytest.raises(InputError, match=says):
            store_upload(pieces(data, size), tmp_path, "their.vcf")
    assert list(tmp_path.iterdir()) == []


def test_too_many_bytes(tmp_path: Path) -> None:
    with pytest.raises(TooLargeError, match="larger than the 100 bytes"):
        store_upload(pieces(TEXT), tmp_path, "their.vcf", most_bytes=100)
    assert list(tmp_path.iterdir()) == []
