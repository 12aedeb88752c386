"""What is fuzzed: each kind of file with how it is made, spoiled, read by the project, and read plainly."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from fuzz import forked, made, spoil
from fuzz import reading as r
from fuzz.forked import ACCEPTED, CLEAR, DIFFERENT, OTHER, PARTIAL, UNREADABLE, Outcome
from jamie.errors import InputError


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes
    ----------
    make
        Writes a sound one into a folder and returns its path.
    changes
        Strategy of functions that spoil it: of the content of a file, or of the path of a folder.
    read
        Function of its path and of an empty folder for outputs: what was read.
    plain
        Function of its path: the same, by the library of the format.
    same
        Whether both say the same.
    """

    make: Callable[[Path], Path]
    changes: st.SearchStrategy
    read: Callable[[Path, Path], object]
    plain: Callable[[Path], object]
    same: Callable[[object, object], bool]


def outcome(kind: Kind, path: Path, folder: Path) -> Outcome:
    """What becomes of one input, in a process of its own."""
    return forked.outcome_of(lambda tell: _read(kind, path, folder, tell))


def _read(kind: Kind, path: Path, folder: Path, tell) -> Outcome:
    warnings.simplefilter("ignore")
    try:
        found = kind.read(path, folder)
    except InputError as error:
        left = [item.name for item in folder.iterdir()]
        return Outcome(PARTIAL, f"left {left}") if left else Outcome(CLEAR, error.problem)
    except Exception as error:
        left = [item.name for item in folder.iterdir()]
        return Outcome(PARTIAL, f"left {left}") if left else Outcome(OTHER, forked.in_words(error))
    tell(Outcome(UNREADABLE, "the plain reader ended the process"))
    try:
        expected = kind.plain(path)
    except Exception as error:
        return Outcome(UNREADABLE, forked.in_words(error))
    return Outcome(ACCEPTED) if kind.same(found, expected) else Outcome(DIFFERENT, "values or names differ")


# --- all of them

BYTES = spoil.several(spoil.byte_changes())
HDF5 = spoil.several(spoil.hdf5_changes())
NPZ = spoil.several(spoil.npz_changes())
CONFIG = spoil.yaml_changes()


def text(sep: str) -> st.SearchStrategy:
    return spoil.several(spoil.text_changes(sep))


MTX = {
    "matrix.mtx": text(" "),
    "features.tsv": text("\t"),
    "barcodes.tsv.gz": st.one_of(BYTES, text("\t").map(spoil.packed)),
}
PATCHSEQ = {
    "data.rda": st.one_of(BYTES, BYTES.map(spoil.packed)),
    "ephys.csv": text(","),
    "labels.xlsx": BYTES,
}
MODEL = {"config.json": st.one_of(spoil.json_changes(), BYTES), "weights.safetensors": BYTES}

KINDS = {
    "h5mu": Kind(made.h5mu, HDF5, r.read_h5mu, r.plain_h5mu, r.same_frames),
    "h5ad": Kind(made.h5ad, HDF5, r.read_h5ad, r.plain_h5ad, r.same_first),
    "10x_h5": Kind(made.h5_10x, HDF5, r.read_10x_h5, r.plain_10x_h5, r.same_frames),
    "10x_mtx": Kind(made.mtx_10x, spoil.folder_changes(MTX), r.read_10x_mtx, r.plain_10x_mtx, r.same_frames),
    "table": Kind(made.table, text(","), r.read_table, r.plain_table, r.same_first),
    "labels": Kind(made.labels, text("\t"), r.read_labels, r.plain_labels, r.same_labels),
    "patchseq_rda": Kind(
        made.patchseq, spoil.folder_changes(PATCHSEQ), r.read_patchseq, r.plain_patchseq, r.same_frames
    ),
    "pairs.npz": Kind(made.pairs_npz, NPZ, r.read_pairs, r.plain_npz, r.same_matrix),
    "pairs.npz, own": Kind(made.pairs_own, NPZ, r.read_own, r.plain_npz, r.same_matrix),
    "pairs.mtx": Kind(made.pairs_mtx, text(" "), r.read_pairs, r.plain_mtx, r.same_matrix),
    "pairs.tsv": Kind(made.pairs_tsv, text("\t"), r.read_pairs, r.plain_pairs, r.same_matrix),
    "genes.bed": Kind(made.bed, text("\t"), r.read_genes, r.plain_text, r.in_lines),
    "genes.gtf": Kind(made.gtf, text("\t"), r.read_genes, r.plain_text, r.in_lines),
    "links.tsv": Kind(made.known_links, text("\t"), r.read_links, r.plain_text, r.in_lines),
    "linked.tsv": Kind(made.linked, text("\t"), r.read_linked, r.plain_linked, r.same_links),
    "links.bedpe": Kind(made.bedpe, text("\t"), r.read_links, r.plain_text, r.in_lines),
    "ingested.h5mu": Kind(made.h5mu, HDF5, r.read_h5mu_again, r.plain_h5mu, r.same_frames),
    "config": Kind(made.config, CONFIG, r.read_config, r.plain_config, r.keeps),
    "datasets_table": Kind(made.datasets_table, text("\t"), r.read_rows, r.plain_text, r.in_lines),
    "model": Kind(made.model, spoil.folder_changes(MODEL), r.read_model, r.plain_model, r.same_arrays),
}
