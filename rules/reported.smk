# What first pages say, of a run and of each of its datasets; the reports of single datasets.
from functools import cache

CAPTIONS = content_digest(f"{HERE}/report")


@cache
def results_by_dataset():
    """What `rule all` asks for of each dataset, without what sums it up."""
    found = {name: [] for name in RUN["datasets"]}
    for path in all_results():
        parts = path.split("/")
        if len(parts) > 2:
            found[parts[1]].append(path)
    return found


def in_own_report(path, title, caption):
    """Output that the report of one dataset shows: that of all has the same of all of them."""
    if len(RUN["datasets"]) > 1:
        return path
    where = {"category": "Scores", "subcategory": "{dataset}, all scenarios"}
    labels = {"dataset": "{dataset}", "scenario": "all scenarios", "figure": title}
    return report(path, caption=f"../report/{caption}.rst", labels=labels, **where)


def reports():
    """The reports of single datasets, where there are several; a workflow that uses this one writes its own."""
    several = len(RUN["datasets"]) > 1 and METHODS and RUN["scenarios"]
    return every(f"{DATASET}/report.html") if several and workflow.modifier.parent_modifier is None else []


def summary_input(datasets):
    """What the first page says of these datasets, beside their scores."""
    with_peaks = [name for name in datasets if name in WITH_PEAKS]
    first = {"dataset": datasets, "seed": RUN["seeds"][0]}
    return {
        "run_info": every(f"{METHOD}/run_info.json", dataset=datasets),
        "split": every(f"{DATA}/split.tsv", **first),
        "known": every(f"{DATA}/correspondence.npz", **first),
        "pairs": every(f"{DATASET}/pairs.npz", dataset=datasets),
        "findings": every(f"{DATASET}/findings.tsv", dataset=datasets),
        "linked": every(f"{DATASET}/linked_features.json", dataset=datasets) if ESTIMATED else [],
        "pairing": every(f"{DATASET}/pairing.tsv", dataset=datasets) if PAIRING else [],
        "checked": every(f"{METHOD}/values.tsv", dataset=datasets, method=CALIBRATED),
        "drivers": every(f"{DATASET}/drivers.tsv", dataset=datasets) if EXPLAINED else [],
        "links": expand(f"{FOUND}/summary.json", dataset=with_peaks),
        "near": expand(f"{FOUND}/near.tsv", dataset=with_peaks),
    }
