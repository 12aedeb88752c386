"""What a file is, by its content: for the messages about one that cannot be read."""

from __future__ import annotations

import traceback
import zipfile
import zlib
from pathlib import Path

from jamie.data import stores

TEXT_LINES, LINE_WIDTH = 2, 80
TABLE_MARKS = (",", ";", "\t")
WORKBOOK = ("an Excel workbook", "save the sheet as .csv")
MAGIC = {  # first bytes -> what it is, and what to do about it
    b"version https://git-lfs": ("a pointer of Git LFS", "fetch the file itself: `git lfs pull`"),
    b"<!DOCTYPE": ("a web page", "download the file itself, not the page about it"),
    b"<html": ("a web page", "download the file itself, not the page about it"),
    b"\xd0\xcf\x11\xe0": WORKBOOK,
    b"%PDF": ("a PDF document", "the file under `files:` of the dataset"),
    b"PAR1": ("a Parquet file", "write it as .csv or .h5ad"),
    b"RDX": ("an R data file", "write it as .h5mu from R (MuDataSeurat::WriteH5MU)"),
    b"X\n\x00\x00": ("an R object (.rds)", "write it as .h5mu from R (MuDataSeurat::WriteH5MU)"),
    b"7z\xbc\xaf": ("a 7-Zip archive", "unpack it"),
    b"%%MatrixMarket": ("one Matrix Market file", "`reader: 10x_mtx`, with the folder that holds it"),
}
READER_OF = {stores.MUDATA: "h5mu", stores.ANNDATA: "h5ad", stores.CELL_RANGER: "10x_h5"}
# words of what libraries raise where a file ends too early
ENDS_EARLY = ("truncated", "end-of-stream", "eof", "unexpected end", "premature end", "ended prematurely")


def look(path: Path) -> tuple[str, str | None]:
    """What a file or folder holds, in words, and the change that follows from it, if one does."""
    if not path.exists():
        return "no such file or folder", "`files:` of the dataset"
    if path.is_dir() and not any((path / name).is_file() for name in stores.ZARR_ROOTS):
        return _folder(path)
    if path.is_file() and path.stat().st_size == 0:
        return "an empty file (0 bytes)", "get the file again"
    start = stores.first_bytes(path, 64) if path.is_file() else b""
    for magic, told in MAGIC.items():
        if start.lower().startswith(magic.lower()):
            return told
    if start.startswith(stores.GZIP):
        return _gzipped(path)
    size = f"{path.stat().st_size} bytes"
    if path.is_dir() or start.startswith(stores.ZIP) or is_hdf5(path):
        found, advice = _store(path)
        return (found if path.is_dir() else f"{size}, {found}"), advice
    lines = first_lines(path)
    if lines is None:
        return f"{size} that are no text, the first {start[:16]!r}", None
    advice = "`reader: table`" if any(mark in lines[0] for mark in TABLE_MARKS) else None
    return f"{size} of text, which begins {' / '.join(map(repr, lines))}", advice


def is_hdf5(path: Path) -> bool:
    import h5py

    return path.is_file() and h5py.is_hdf5(path)


def first_lines(path: Path) -> list[str] | None:
    """The beginning of a text file; None: it is no text."""
    start = stores.first_bytes(path, TEXT_LINES * 4 * LINE_WIDTH)
    if b"\0" in start and not start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    text = start.decode("utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", errors="replace")
    return [line[:LINE_WIDTH] for line in text.splitlines()[:TEXT_LINES]]


def ends_early(path: Path, error: Exception) -> bool:
    """Whether a library said of a file that it is not all there."""
    if isinstance(error, EOFError) or any(word in str(error).lower() for word in ENDS_EARLY):
        return True
    # the list of contents of a zip is at its end
    return "not a zip file" in str(error) and path.is_file() and stores.first_bytes(path, 4) == stores.ZIP


def raised_elsewhere(error: Exception) -> bool:
    """Whether a library raised it: of a broken file any error is about the file, be it an AttributeError."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_globals["__name__"].split(".")[0] != __name__.split(".")[0]


def what_to_change(path: Path, error: Exception, advice: str | None) -> str:
    """The one change that helps: ``advice`` is that of `look`."""
    if isinstance(error, UnicodeDecodeError) and not is_hdf5(path):
        return f"save {path.name} as UTF-8 (`iconv -f WINDOWS-1252 -t UTF-8`)"
    if path.is_file() and ends_early(path, error):
        return "get the file again (it may be truncated)"
    return advice or "the file, or choose another `reader:` for the dataset"


def _folder(path: Path) -> tuple[str, str | None]:
    names = sorted(item.name for item in path.iterdir())
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    holds_matrix = any(name.endswith(("matrix.mtx", "matrix.mtx.gz")) for name in names)
    return f"a folder with {shown or 'nothing in it'}", "`reader: 10x_mtx`" if holds_matrix else None


def _gzipped(path: Path) -> tuple[str, str | None]:
    try:
        inside = stores.unpacked(path)
    except (OSError, EOFError, zlib.error) as error:
        return f"{path.stat().st_size} bytes of a gzip file that cannot be unpacked ({error})", None
    found, advice = look(inside)
    return f"gzipped: {found}", advice


def _store(path: Path) -> tuple[str, str | None]:
    try:
        with stores.opened(path) as root:
            what, parts = stores.holds(root), ", ".join(list(root)[:8]) or "nothing"
            if what == stores.MUDATA:
                parts = f"modalities {', '.join(stores.modalities(root))}"
    except zipfile.BadZipFile:
        return "a zip file without its list of contents, which is at the end", None
    except Exception as error:
        if not raised_elsewhere(error) and not isinstance(error, OSError | ValueError | KeyError | TypeError):
            raise
        if path.is_file() and _is_workbook(path):
            return WORKBOOK
        return f"a store that cannot be opened ({error})"[:200], None
    advice = None if what is None else f"`reader: {READER_OF[what]}` for this file"
    if what is None and "row_attrs" in parts:
        return "a loom file", "write it as .h5ad: anndata.read_loom(FILE).write_h5ad(...)"
    if what is None and "assays" in parts:
        return "an h5Seurat file", 'write it as .h5ad: SeuratDisk::Convert(FILE, dest = "h5ad") in R'
    return f"{what or 'another HDF5 or zarr file'} with {parts}", advice


def _is_workbook(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError):
        return False
