# What figures are made from, what captions say beside their numbers, and which scenarios and variants compare.
from jamie.evaluation.comparisons import pairing_series, variants

STYLE = ["plots/style.py", "plots/palette.py"]
PAIRED = ["evaluation/paired.py", "metrics/comparison.py"]


def method_label(method):
    """How figures and tables call a method or variant, marked where it learns from no known pair."""
    entry = CONFIG["methods"][method]
    own = spec(method).label if entry["base"] == method else method
    return registry.marked(entry["label"] or own, spec(method))


LABELS = {m: method_label(m) for m in METHODS}
EMBEDDING = [m for m in METHODS if spec(m).embeds]
NO_PAIRS = [m for m in METHODS if registry.unsupervised(spec(m))]
PAIRING, WRONG = pairing_series(RUN["scenarios"], CONFIG["scenarios"])
VARIANTS = variants(METHODS, CONFIG["methods"])


def about_run(wildcards):
    """How its methods are called, which use no pairs, the share of wrong pairs, and of cells held out."""
    scenario = CONFIG["scenarios"].get(wildcards.get("scenario"), {"wrong_pairs": 0, "held_out": 0})
    shares = {name: scenario[name] for name in ("wrong_pairs", "held_out")}
    return {"labels": LABELS, "no_pairs": NO_PAIRS, **shares}


def comparisons():
    """The results that compare methods, scenarios or variants, as far as this run has them."""
    results = ["results/table.md", "results/ranking.html"]
    results += every(f"{FIGURES}/{{figure}}.svg", figure=["alignment", "silhouettes", "baselines"])
    results += every(f"{DATASET}/pairing.svg") if PAIRING else []
    results += every(f"{FIGURES}/ablation.svg") if VARIANTS else []
    return results


def shown(pattern, every_seed=True):
    """Files of the method the figures show: of every seed, or of the first."""
    seeds = RUN["seeds"] if every_seed else RUN["seeds"][:1]
    return expand(pattern, method=SHOWN, seed=seeds, allow_missing=True)


def scored(pattern, methods=METHODS, **fixed):
    """Files of all methods and seeds, of one dataset; of one scenario, too, where none is named."""
    return expand(pattern, **fixed, method=methods, seed=RUN["seeds"], allow_missing=True)


def figure(name, title, category, scenario="{scenario}", folder=FIGURES):
    """Output of a figure rule: the figure with its place in the report."""
    return report(
        f"{folder}/{name}.svg",
        caption=f"../report/{name}.rst",
        category=category,
        subcategory=f"{{dataset}}, {scenario}",
        labels={"dataset": "{dataset}", "scenario": scenario, "figure": title},
    )


# groups of cells are compared in the first scenario and seed
COMPARED = bool(SHOWN and RUN["scenarios"] and RUN["figures"] == "full")
FIRST_FIT = {"scenario": RUN["scenarios"][0], "method": SHOWN[0], "seed": RUN["seeds"][0]} if COMPARED else {}


def of_first_fit(pattern):
    """A file of the first fit of each dataset."""
    return expand(pattern, **FIRST_FIT, allow_missing=True)[0] if COMPARED else []


def differences():
    """Tables of differences, where a model is shown."""
    return every("results/{dataset}/differences.tsv") if COMPARED else []
