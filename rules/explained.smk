# What drives the imputation: attributions, links of peaks and genes, what separates cell types. In the first scenario.
EXPLAINED = bool(RUN["explain"] and SHOWN and RUN["scenarios"])
EXPLAIN = CONFIG["explain"]
FIRST = {"scenario": RUN["scenarios"][0], "method": SHOWN[0]} if EXPLAINED else {}
FOUND = "results/{dataset}/explained"
CHUNKS = range(EXPLAIN["chunks"])
ATTRIBUTION = "regulation/attribution.py", "model/network.py", "linear/projection.py", "linear/blocks.py"


def has_peaks(dataset):
    """Whether the dataset pairs RNA with ATAC, so that peaks may be linked to genes."""
    kinds = (modality["kind"] for modality in CONFIG["datasets"][dataset]["modalities"].values())
    return sorted(kinds) == ["atac", "rna"]


WITH_PEAKS = [name for name in RUN["datasets"] if EXPLAINED and has_peaks(name)]


def of_fits(pattern):
    """Files of every seed of the method that is explained."""
    return expand(pattern, **FIRST, seed=RUN["seeds"], allow_missing=True) if EXPLAINED else []


def explanations():
    """What explains the imputation of each dataset: tables, and figures as far as they apply."""
    results = []
    for name in RUN["datasets"] if EXPLAINED else []:
        entry = CONFIG["datasets"][name]
        figures = ["drivers"]
        figures += [f"markers_{modality}" for modality in entry["modalities"] if entry["cell_type"]]
        if name in WITH_PEAKS:
            figures += ["distance", "loci"]
            figures += ["truth"] if entry["reader"] == "simulate" else []
            figures += ["known_links"] if entry["known_links"] else []
        results += [f"results/{name}/attributions.h5ad"]
        results += [f"{FOUND}/{figure}.rst".format(dataset=name) for figure in figures]
    return results


ANNOTATION = "genes", "known_links"
ANNOTATED = [
    name for name in RUN["datasets"] if EXPLAINED and any(CONFIG["datasets"][name][key] for key in ANNOTATION)
]


def annotation(wildcards):
    """The list of files that say where genes lie and which links are known, and those that were not fetched."""
    if wildcards.dataset not in ANNOTATED:
        return {}
    listed = {"files": fetched(f"resources/{wildcards.dataset}/annotation.json")}
    return listed | given_files(wildcards.dataset, ANNOTATION)


def explained_figure(name, title, category="Regulation", caption=None):
    """Output of a figure about the fits that are explained."""
    return report(
        f"{FOUND}/{name}.svg",
        caption=f"../report/{caption or name}.rst",
        category=category,
        subcategory="{dataset}",
        labels={"dataset": "{dataset}", "figure": title},
    )
