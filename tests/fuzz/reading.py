"""Each kind of file as the project reads it, as its library reads it, and whether both say the same.

A dataset goes through the script of the rule that ingests it, to its outputs.
"""

from __future__ import annotations

import json
import logging
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import scipy.io
import yaml
from scipy import sparse

from fuzz import made
from jamie.errors import InputError

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
SPEC = {"source": None, "layer": None, "values": "counts"}
ENTRY = {
    "modalities": {"rna": {"kind": "rna", **SPEC}, "adt": {"kind": "protein", **SPEC}},
    "cell_type": None,
    "batch": None,
    "correspondence": None,
    "drop_empty": False,
    "options": {},
}


# --- datasets, to the outputs of the rule


SUFFIXES = {"data": ".h5mu", "pairs": ".npz"}


class Named(dict):
    """Inputs or parameters of a job: attributes, too."""

    __getattr__ = dict.__getitem__


class Outputs(list):
    """Whatever output the script asks for: a path in the folder. Listed are none, so that none is hashed."""

    def __init__(self, folder: Path):
        super().__init__()
        self._folder = folder

    def __getattr__(self, name: str) -> str:
        return str(
            self._folder / f"{name}.{ {'data': 'h5mu', 'pairs': 'npz'}.get(name, 'tsv') }".replace(" ", "")
        )


def ingest(folder: Path, **entry) -> dict:
    """Frames of a dataset (`frames`) as the rule writes it; InputError where the rule ends with one error."""
    import mudata

    about, files = folder.parent / "about", entry.pop("files")
    about.mkdir(exist_ok=True)
    (about / "files.json").write_text(json.dumps({role: str(path) for role, path in files.items()}))
    snakemake = SimpleNamespace(
        rule="ingest_dataset",
        log=[str(about / "log")],
        input=Named(files=about / "files.json"),
        output=Outputs(folder),
        params=Named(about={}, entry=ENTRY | {"files": {role: {"path": ""} for role in files}} | entry),
        wildcards=SimpleNamespace(dataset="fuzzed"),
        resources={},
    )
    try:
        runpy.run_path(str(SCRIPTS / "ingest_dataset.py"), init_globals={"snakemake": snakemake})
    except SystemExit as end:
        logging.shutdown()
        said = (about / "log").read_text()
        if end.code != 1 or said.count("\nError: ") != 1:
            raise AssertionError(f"the job ended with {end.code} and said {said[:300]}") from None
        raise InputError(said.strip(), expected="", found="", change="") from None
    return frames(mudata.read_h5mu(folder / "data.h5mu").mod)


def frames(modalities) -> dict:
    """Modality -> frame (cells x features) of its values, float32, with names as text."""
    found = {}
    for name, adata in modalities.items():
        if adata.X is None:
            continue
        values = adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)
        found[name] = pd.DataFrame(
            values.astype(np.float32), adata.obs_names.astype(str), adata.var_names.astype(str)
        )
    return found


def same_frames(found: dict, expected: dict) -> bool:
    """Every cell and feature that was kept has the values of the file."""
    for name, frame in found.items():
        if name not in expected:
            return False
        there = expected[name]
        if not (set(frame.index) <= set(there.index) and set(frame.columns) <= set(there.columns)):
            return False
        if not np.array_equal(frame, there.loc[frame.index, frame.columns], equal_nan=True):
            return False
    return True


def read_h5mu(path: Path, folder: Path):
    return ingest(folder, reader="h5mu", files={"data": path}, cell_type="type")


def plain_h5mu(path: Path):
    import mudata

    return frames(mudata.read_h5mu(path).mod)


def read_h5ad(path: Path, folder: Path):
    other = made.h5ad(folder.parent) if folder.parent != path.parent else path
    return ingest(folder, reader="h5ad", files={"rna": path, "adt": other}, cell_type="type")


def plain_h5ad(path: Path):
    import anndata

    return frames({"rna": anndata.read_h5ad(path)})


def same_first(found: dict, expected: dict) -> bool:
    return same_frames(
        {"rna": found["rna"]}, expected if isinstance(expected["rna"], pd.DataFrame) else frames(expected)
    )


def read_10x_h5(path: Path, folder: Path):
    return ingest(folder, reader="10x_h5", files={"data": path})


def plain_10x_h5(path: Path):
    import scanpy

    return by_type(scanpy.read_10x_h5(path, gex_only=False))


def read_10x_mtx(path: Path, folder: Path):
    return ingest(folder, reader="10x_mtx", files={"data": path})


def plain_10x_mtx(path: Path):
    """By scipy and pandas: scanpy wants every file gzipped."""
    import anndata

    matrix = scipy.io.mmread(path / "matrix.mtx")
    features = pd.read_csv(path / "features.tsv", sep="\t", header=None, keep_default_na=False, dtype=str)
    barcodes = pd.read_csv(path / "barcodes.tsv.gz", header=None, keep_default_na=False, dtype=str, sep="\t")
    matrix = sparse.csr_matrix(matrix)
    matrix = matrix if matrix.shape[1] == len(barcodes) else matrix.T
    var = pd.DataFrame({"feature_types": features[2].to_numpy()}, index=features[1].to_numpy())
    return by_type(
        anndata.AnnData(sparse.csr_matrix(matrix.T), obs=pd.DataFrame(index=barcodes[0].to_numpy()), var=var)
    )


def by_type(adata) -> dict:
    found = {}
    for name, kind in (("rna", "Gene Expression"), ("adt", "Antibody Capture")):
        part = adata[:, (adata.var["feature_types"] == kind).to_numpy()].copy()
        part.var_names_make_unique()
        found[name] = part
    return frames(found)


def read_table(path: Path, folder: Path):
    other = made.table(folder.parent, "adt.csv")
    return ingest(folder, reader="table", files={"rna": path, "adt": other})


def plain_table(path: Path) -> dict:
    """With the separator, the decimal mark and the comments that make it a table of numbers."""
    for options in ({}, {"comment": "#"}, {"decimal": ","}, {"thousands": ","}):
        for sep in (",", ";", "\t", r"\s+", "|"):
            for encoding in ("utf-8-sig", "utf-16", "latin-1"):
                try:
                    frame = pd.read_csv(
                        path, sep=sep, index_col=0, encoding=encoding, dtype={0: str}, **options
                    )
                except (ValueError, UnicodeError, IndexError):
                    continue
                frame = frame.dropna(axis=1, how="all")
                if frame.shape[1] and all(kind.kind in "iuf" for kind in frame.dtypes):
                    frame = frame.set_axis(frame.index.astype(str), axis=0)
                    return {"rna": frame.set_axis(frame.columns.astype(str), axis=1).astype(np.float32)}
    raise ValueError("no table of numbers")


def read_labels(path: Path, folder: Path):
    data = made.h5mu(folder.parent / "made")
    ingest(folder, reader="h5mu", files={"data": data, "labels": path}, cell_type="type")
    import mudata

    return mudata.read_h5mu(folder / "data.h5mu").mod["rna"].obs["cell_type"].astype(object)


def plain_labels(path: Path) -> pd.DataFrame:
    for sep in ("\t", ",", ";", r"\s+", "|"):
        for encoding in ("utf-8-sig", "utf-16", "latin-1"):
            try:
                frame = pd.read_csv(path, sep=sep, index_col=0, encoding=encoding, dtype=str, comment=None)
            except (ValueError, UnicodeError):
                continue
            if "type" in frame:
                return frame["type"]
    raise ValueError("no labels")


def same_labels(found: pd.Series, expected: pd.Series) -> bool:
    expected = expected.set_axis(expected.index.astype(str))
    return all(
        (pd.isna(label) and pd.isna(expected[cell])) or label == expected[cell]
        for cell, label in found.items()
    )


def read_patchseq(path: Path, folder: Path):
    modalities = {"rna": {"kind": "rna", **SPEC}, "ephys": {"kind": "continuous", **SPEC}}
    files = {"expression": path / "data.rda", "ephys": path / "ephys.csv", "labels": path / "labels.xlsx"}
    return ingest(folder, reader="patchseq_rda", files=files, modalities=modalities, cell_type="cell_type")


def plain_patchseq(path: Path):
    import rdata

    tables = rdata.read_rda(path / "data.rda")
    genes = tables["gdata"]
    return {
        "rna": pd.DataFrame(
            genes.values.T, genes.coords["dim_1"].values, genes.coords["dim_0"].values
        ).astype(np.float32),
        "ephys": tables["edata"].astype(np.float32),
    }


# --- correspondences


def read_pairs(path: Path, folder: Path):
    from jamie.data.readers import read_correspondence

    return read_correspondence(path, made.CELLS, made.CELLS).matrix


def plain_npz(path: Path):
    return sparse.load_npz(path)


def plain_mtx(path: Path):
    return scipy.io.mmread(path)


def plain_named_pairs(path: Path, names) -> pd.DataFrame:
    """Rows of two names that are known, and a value that is 1 where there is none: columns 0, 1, 2."""
    start = path.read_bytes()[:2]
    coding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    form = {"header": None, "dtype": str, "keep_default_na": False, "encoding": coding}
    for sep in ("\t", ",", ";", " ", "|"):
        table = pd.read_csv(path, sep=sep, **form)
        if table.shape[1] in (2, 3):
            break
    table = table[table[0].isin(names) & table[1].isin(names)]
    return table if table.shape[1] == 3 else table.assign(**{"2": 1.0}).set_axis([0, 1, 2], axis=1)


def plain_pairs(path: Path):
    table, known = plain_named_pairs(path, made.CELLS), pd.Index(made.CELLS)
    places = known.get_indexer(table[0]), known.get_indexer(table[1])
    return sparse.coo_matrix((table[2].astype(float), places), shape=(made.N, made.N))


def same_matrix(found, expected) -> bool:
    return np.array_equal(found.toarray(), expected.toarray().astype(np.float32))


def read_linked(path: Path, folder: Path):
    import anndata

    from jamie.data import linked_table

    side = anndata.AnnData(var=pd.DataFrame(index=made.GENES))
    table = linked_table.read(path, side, side).table
    return set(table.itertuples(index=False, name=None))


def plain_linked(path: Path):
    return plain_named_pairs(path, made.GENES)


def same_links(found, expected) -> bool:
    rows = zip(expected[0], expected[1], expected[2].astype(float), strict=True)
    return found == set(rows)


def read_own(path: Path, folder: Path):
    from jamie.data.correspondence import Correspondence

    return Correspondence.load(path).matrix


def read_h5mu_again(path: Path, folder: Path):
    from jamie import io

    return frames(io.read_h5mu(path).mod)


# --- annotation


def read_genes(path: Path, folder: Path):
    from jamie.regulation.annotation import read_genes

    genes = read_genes(path)
    return set(zip(genes["chrom"], genes["end"].astype(str), genes.index, strict=True))


def read_links(path: Path, folder: Path):
    from jamie.regulation.known_links import read_known_links

    known = read_known_links(path)
    return set(zip(known["chrom"], known["end"].astype(str), known["gene"].fillna(""), strict=True))


def plain_text(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")  # splitlines also splits at control characters


def in_lines(found: set, lines: list[str]) -> bool:
    """Every row that was read stands in a line of the file."""
    return all(any(all(part in line for part in row) for line in lines) for row in found)


# --- config, models


def read_config(path: Path, folder: Path):
    from jamie import config

    return config.check(yaml.safe_load(path.read_bytes()))


def read_rows(path: Path, folder: Path) -> set:
    """Names of the datasets of a table."""
    from jamie import config
    from jamie.schema import ROOT

    shipped = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    found = config.check(shipped | {"datasets_table": str(path)})["datasets"]
    return {(name,) for name in found.keys() - shipped["datasets"].keys()}


def plain_config(path: Path):
    return yaml.safe_load(path.read_bytes())


def keeps(found, given) -> bool:
    """Whether everything that is given is found unchanged; ``base: null`` stands for a name."""
    if isinstance(given, dict):
        return isinstance(found, dict) and all(keeps(found.get(k), v) for k, v in given.items())
    return given is None or (type(found) is type(given) and found == given)


def read_model(path: Path, folder: Path):
    from jamie import JAMIE
    from jamie.io import together

    model = JAMIE.load(path, device="cpu")
    embedded = model.embed(together({m: made.adata(m) for m in made.MODALITIES}))
    if not all(np.isfinite(values).all() for values in embedded.values()):
        raise AssertionError("an embedding that is not finite")
    return {f"network.{k}": v.numpy() for k, v in model.model.state_dict().items()}


def plain_model(path: Path):
    from safetensors.numpy import load_file

    return load_file(path / "weights.safetensors")


def same_arrays(found: dict, expected: dict) -> bool:
    return all(np.array_equal(values.ravel(), expected[name].ravel()) for name, values in found.items())
