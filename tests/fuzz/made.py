"""A small sound file of every format that is read: what the fuzz spoils."""

from __future__ import annotations

import copy
import gzip
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.io
from scipy import sparse

ROOT = Path(__file__).parents[2]
N = 24
CELLS = [f"c{i:02d}" for i in range(N)]
GENES, PROTEINS = [f"GENE{j}" for j in range(6)], ["CD3", "CD4", "CD8", "CD19"]
TYPES = ["T cell", "B cell", "NK"] * (N // 3)
MODALITIES = {"rna": GENES, "adt": PROTEINS}


def counts(n_features: int) -> np.ndarray:
    """Counts (24, n_features) without an empty row or column."""
    return np.random.default_rng(n_features).poisson(2.0, (N, n_features)) + np.eye(N, n_features) * 3 + 1


def adata(modality: str) -> anndata.AnnData:
    features = MODALITIES[modality]
    obs = pd.DataFrame({"type": pd.Categorical(TYPES), "depth": np.arange(N) / 2}, index=CELLS)
    var = pd.DataFrame({"symbol": features}, index=features)
    values = sparse.csr_matrix(counts(len(features)).astype(np.float32))
    return anndata.AnnData(values, obs=obs, var=var, uns={"note": "made", "version": 1})


def h5mu(folder: Path) -> Path:
    from jamie.io import together

    path = folder / "data.h5mu"
    together({m: adata(m) for m in MODALITIES}).write(path)
    return path


def h5ad(folder: Path) -> Path:
    path = folder / "rna.h5ad"
    adata("rna").write(path)
    return path


def together_10x() -> tuple[sparse.csc_matrix, list[str], list[str]]:
    """Features x cells, names and types of the features."""
    matrix = sparse.csc_matrix(np.hstack([counts(len(f)) for f in MODALITIES.values()]).T.astype(np.int32))
    types = ["Gene Expression"] * len(GENES) + ["Antibody Capture"] * len(PROTEINS)
    return matrix, GENES + PROTEINS, types


def h5_10x(folder: Path) -> Path:
    matrix, names, types = together_10x()
    path = folder / "matrix.h5"
    with h5py.File(path, "w") as f:
        group = f.create_group("matrix")
        group["barcodes"] = np.array(CELLS, dtype="S")
        for key in ("data", "indices", "indptr"):
            group[key] = getattr(matrix, key)
        group["shape"] = np.array(matrix.shape, dtype=np.int32)
        features = group.create_group("features")
        features["id"] = features["name"] = np.array(names, dtype="S")
        features["feature_type"] = np.array(types, dtype="S")
        features["genome"] = np.array(["x"] * len(names), dtype="S")
        features["_all_tag_keys"] = np.array(["genome"], dtype="S")
    return path


def mtx_10x(folder: Path) -> Path:
    matrix, names, types = together_10x()
    path = folder / "matrix"
    path.mkdir()
    scipy.io.mmwrite(path / "matrix.mtx", matrix)
    rows = [f"{name}\t{name}\t{kind}\n" for name, kind in zip(names, types, strict=True)]
    (path / "features.tsv").write_text("".join(rows))
    with gzip.open(path / "barcodes.tsv.gz", "wt") as file:
        file.write("".join(f"{cell}\n" for cell in CELLS))
    return path


def table(folder: Path, name: str = "rna.csv", sep: str = ",") -> Path:
    path = folder / name
    pd.DataFrame(counts(len(GENES)).astype(int), index=CELLS, columns=GENES).to_csv(path, sep=sep)
    return path


def labels(folder: Path) -> Path:
    path = folder / "labels.tsv"
    pd.DataFrame({"type": TYPES, "sex": ["f", "m"] * (N // 2)}, index=CELLS).to_csv(path, sep="\t")
    return path


def pairs_npz(folder: Path) -> Path:
    """Without names, as scipy writes it."""
    path = folder / "pairs.npz"
    sparse.save_npz(path, sparse.csr_matrix(np.eye(N, dtype=np.float32)), compressed=False)
    return path


def pairs_own(folder: Path) -> Path:
    from jamie.data.correspondence import Correspondence

    path = folder / "own.npz"
    Correspondence(sparse.identity(N), CELLS, CELLS).save(path)
    return path


def pairs_mtx(folder: Path) -> Path:
    path = folder / "pairs.mtx"
    scipy.io.mmwrite(path, sparse.coo_matrix(np.eye(N)))
    return path


def pairs_tsv(folder: Path) -> Path:
    path = folder / "pairs.tsv"
    path.write_text("a\tb\tconfidence\n" + "".join(f"{cell}\t{cell}\t1\n" for cell in CELLS))
    return path


def bed(folder: Path) -> Path:
    path = folder / "genes.bed"
    rows = [
        f"chr{1 + j % 3}\t{1000 * j}\t{1000 * j + 500}\t{gene}\t0\t{'+-'[j % 2]}"
        for j, gene in enumerate(GENES)
    ]
    path.write_text("\n".join(rows) + "\n")
    return path


def gtf(folder: Path) -> Path:
    path = folder / "genes.gtf"
    rows = [
        f"chr{1 + j % 3}\tx\tgene\t{1000 * j + 1}\t{1000 * j + 500}\t.\t{'+-'[j % 2]}\t.\t"
        f'gene_id "ENSG{j:011d}.2"; gene_name "{gene}";'
        for j, gene in enumerate(GENES)
    ]
    path.write_text("##description: made\n" + "\n".join(rows) + "\n")
    return path


def known_links(folder: Path) -> Path:
    path = folder / "links.tsv"
    rows = [f"chr{1 + j % 3}\t{1000 * j}\t{1000 * j + 200}\t{gene}" for j, gene in enumerate(GENES)]
    path.write_text("chrom\tstart\tend\tgene\n" + "\n".join(rows) + "\n")
    return path


def linked(folder: Path) -> Path:
    """Linked features, with weights."""
    path = folder / "linked.tsv"
    rows = [f"{gene}\t{GENES[-1 - j]}\t{0.5 + j}" for j, gene in enumerate(GENES)]
    path.write_text("first\tsecond\tweight\n" + "\n".join(rows) + "\n")
    return path


def bedpe(folder: Path) -> Path:
    path = folder / "links.bedpe"
    rows = [
        f"chr1\t{1000 * j}\t{1000 * j + 200}\tchr1\t{50_000 + j}\t{50_500 + j}\t{gene}"
        for j, gene in enumerate(GENES)
    ]
    path.write_text("\n".join(rows) + "\n")
    return path


def patchseq(folder: Path) -> Path:
    """A folder of the three files."""
    path = folder / "patchseq"
    path.mkdir()
    ephys = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 3)), index=CELLS, columns=["v", "w", "x"])
    _write_rda(path / "data.rda", counts(len(GENES)).T, [GENES, CELLS], ephys)
    ephys.to_csv(path / "ephys.csv", index=False)
    sheet = {"Cell": CELLS, "RNA family": TYPES, "RNA type": TYPES, "Cre": "x", "Sequencing batch": "b"}
    pd.DataFrame(sheet).to_excel(path / "labels.xlsx", index=False)
    return path


def _write_rda(path: Path, matrix: np.ndarray, names: list[list[str]], frame: pd.DataFrame) -> None:
    """``gdata``, a matrix with its names, which rdata alone does not write, and ``edata``."""
    from rdata.conversion import convert_python_to_r_data
    from rdata.unparser import unparse_file

    names = [np.array(side) for side in names]
    # the matrix last: symbols that come after it would be counted wrong by one
    whole = convert_python_to_r_data({"edata": frame, "labels": names, "gdata": matrix}, file_type="rda")
    labels, of_matrix = whole.object.value[1].value[0], whole.object.value[1].value[1].value[0].attributes
    of_names = copy.deepcopy(of_matrix)
    of_names.tag.value.value = b"dimnames"
    of_names.value = (labels, of_names.value[1])
    of_matrix.value = (of_matrix.value[0], of_names)
    unparse_file(path, whole, file_type="rda", file_format="xdr", compression="gzip")


def model(folder: Path) -> Path:
    """A saved model, of a fit of a moment."""
    import torch

    from jamie import JAMIE
    from jamie.io import together

    torch.set_num_threads(1)
    raw = {m: adata(m) for m in MODALITIES}
    small = {
        "n_components": 3,
        "n_latent": 2,
        "hidden_layers": (4,),
        "max_epochs": 2,
        "min_steps": 0,
        "folds": 0,
    }
    path = folder / "model"
    JAMIE(seed=0, device="cpu", estimated="never", **small).fit(together(raw)).save(path)
    return path


def config(folder: Path) -> Path:
    return _shipped("config.yaml", folder)


def datasets_table(folder: Path) -> Path:
    return _shipped("examples/many_datasets.tsv", folder)


def _shipped(name: str, folder: Path) -> Path:
    path = folder / Path(name).name
    path.write_bytes((ROOT / "config" / name).read_bytes())
    return path
