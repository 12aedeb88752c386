"""A small dataset of two modalities, and the config entry that reads it: for tests of readers."""

import anndata
import mudata
import numpy as np
import pandas as pd
from scipy import sparse

N = 6
CELLS = [f"cell{i}" for i in range(N)]
COUNTS = np.arange(N * 4).reshape(N, 4) % 5
MEASURED = np.round(np.linspace(-1, 1, N * 3).reshape(N, 3), 3)
GENES, MEASURES = ["g0", "g1", "g2", "g3"], ["e0", "e1", "e2"]
TYPES = ["a", "b"] * 3


def spec(kind, values="counts", source=None, layer=None):
    return {"kind": kind, "values": values, "source": source, "layer": layer}


def entry(reader, cell_type=None, batch=None, correspondence=None, **modalities):
    modalities = modalities or {"rna": spec("rna"), "ephys": spec("continuous")}
    return {
        "reader": reader,
        "files": {},
        "modalities": modalities,
        "cell_type": cell_type,
        "batch": batch,
        "correspondence": correspondence,
    }


def rna(cells=CELLS, genes=GENES):
    adata = anndata.AnnData(sparse.csr_matrix(COUNTS.astype(np.float32)), obs=pd.DataFrame(index=list(cells)))
    adata.var_names = list(genes)
    adata.obs["celltype"] = pd.Categorical(TYPES)
    return adata


def ephys(cells=CELLS):
    obs = pd.DataFrame({"celltype": TYPES}, index=list(cells))
    return anndata.AnnData(MEASURED.copy(), obs=obs, var=pd.DataFrame(index=MEASURES))


def muon_like(cells=CELLS):
    return mudata.MuData({"rna": rna(cells), "ephys": ephys(cells)})
