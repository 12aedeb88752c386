# What figures and captions say of a run beside its numbers, and which of its scenarios and variants compare.
from jamie.comparisons import pairing_series, variants

LABELS = {m: CONFIG["methods"][m]["label"] for m in METHODS if CONFIG["methods"][m]["label"]}
PAIRING, WRONG = pairing_series(RUN["scenarios"], CONFIG["scenarios"])
VARIANTS = variants(METHODS, CONFIG["methods"])


def about_run(wildcards):
    """The run's own names for its methods, and the share of the pairs shown that are wrong."""
    scenario = CONFIG["scenarios"].get(wildcards.get("scenario"), {"wrong_pairs": 0})
    return {"labels": LABELS, "wrong_pairs": scenario["wrong_pairs"]}


def comparisons():
    """The results that compare scenarios or variants, as far as this run has them."""
    results = ["results/table.md"]
    results += every(f"{DATASET}/pairing.svg") if PAIRING else []
    results += every(f"{FIGURES}/ablation.svg") if VARIANTS else []
    return results
