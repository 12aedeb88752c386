"""UMAP of each modality alone and of the joint space."""

import pandas as pd

from jamie import contract, entry, io
from jamie.evaluation import phrases, roles
from jamie.plots import style, umap
from jamie.report.placed import groups_of

with entry.job(snakemake):
    completed = io.read_h5mu(snakemake.input.completed[0], leave_out=("X", "layers"))
    split = io.read_table(snakemake.input.split[0], dtype=str)
    group_name, groups = groups_of(completed)
    raw, joint = {}, []
    for name, group in groups.items():
        adata = completed.mod[name]
        alone, shared = adata.obsm["X_umap"], adata.obsm["X_umap_joint"]
        raw[name] = pd.DataFrame({"x": alone[:, 0], "y": alone[:, 1], "group": group.to_numpy()})
        part = pd.DataFrame({"x": shared[:, 0], "y": shared[:, 1], "group": group.to_numpy()})
        part["modality"] = name
        part[contract.ROLE] = split.loc[split["modality"] == name, contract.ROLE].to_numpy()
        joint.append(part)
    joint = pd.concat(joint, ignore_index=True)
    title = f"Each modality alone, and both in the latent space of {roles.label(snakemake.params.shown[0])}"
    style.save(umap.umap_panels(raw, joint, group_name=group_name, title=title), snakemake.output.figure)
    n_groups = joint["group"].nunique()
    cells = " and ".join(f"{len(t):,} cells with {roles.label(m)}" for m, t in raw.items())
    n_test = int((joint[contract.ROLE] == contract.TEST).sum())
    held_out = f"{n_test:,} of them held out" if n_test else "none held out"
    words = (
        f"Shown are {cells} ({held_out}), in {n_groups} groups ({group_name}); the model of the first seed."
    )
    io.write_text(snakemake.output.numbers, phrases.caption(words, snakemake.params.about))
