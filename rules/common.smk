# The checked configuration, where files are, and the few functions the rules share.
import sys

# where Snakemake fetches rules and scripts one by one (`github(...)`), the package has to be installed
if os.path.isdir(HERE):
    sys.path.insert(0, f"{HERE}/workflow_scripts")

from jamie import InputError, registry
from jamie.jobs import disk, runs
from jamie.config import check as check_config
from jamie.entry import code_digest

try:
    CONFIG = check_config(config)
except InputError as error:
    raise WorkflowError(str(error)) from None

try:
    for notice in runs.start(main=workflow.is_main_process and not workflow.output_settings.dryrun):
        logger.warning(notice)
except OSError as error:
    raise WorkflowError(str(disk.explained(error) or error)) from None

RUN = CONFIG["run"]
SPECS = registry.specs()

DATASET = "results/{dataset}"
DATA = "results/{dataset}/{scenario}/data/seed{seed}"
METHOD = "results/{dataset}/{scenario}/{method}/seed{seed}"
FIGURES = "results/{dataset}/{scenario}/figures"


wildcard_constraints:
    dataset="[A-Za-z0-9_]+",
    scenario="[A-Za-z0-9_]+",
    method="(?!data$|figures$|applied$)[a-z][a-z0-9_]*",
    seed=r"\d+",


def spec(method):
    """SPEC of a method or variant."""
    return SPECS[CONFIG["methods"][method]["base"]]


METHODS = RUN["methods"]
_LINEAR = "blocks", "components", "neighbours", "principal", "projection"
PROJECTION_CODE = [f"linear/{name}.py" for name in _LINEAR]
TRAINED = [m for m in METHODS if spec(m).trains]
BASELINES = [m for m in METHODS if not spec(m).trains]
WITH_DEVICE = [m for m in BASELINES if "device" in spec(m).options]  # those that compute with torch


def may_use_estimate(method):
    """Whether a trained method may use the estimated correspondence F~: its option `estimated`."""
    return CONFIG["methods"][method]["options"].get("estimated", "auto") != "never"


def estimate_of(wildcards):
    """The estimated correspondence and what goes with it, where the method may use it."""
    if not may_use_estimate(wildcards.method):
        return {}
    files = {"estimated": "correspondence.npz", "check": "check.npz", "info": "correspondence.json"}
    return {role: f"{DATA}/estimated_{name}" for role, name in files.items()}


ESTIMATED = [m for m in TRAINED if may_use_estimate(m)]
ESTIMATED += [m for m in BASELINES if CONFIG["methods"][m]["pairs"] == "estimated"]
# the method whose embedding the figures show and which completes the dataset
SHOWN = TRAINED[:1]


def every(pattern, **fixed):
    """A path pattern for everything that is run."""
    names = {
        "dataset": RUN["datasets"],
        "scenario": RUN["scenarios"],
        "method": METHODS,
        "seed": RUN["seeds"],
    }
    return expand(pattern, **(names | fixed))


def dataset_entry(wildcards):
    """The dataset's config entry, as a parameter."""
    return CONFIG["datasets"][wildcards.dataset]


def sources_of(*keys):
    """Those keys of the dataset's config entry, most of which say where files are, as a parameter."""
    return lambda wildcards: {key: CONFIG["datasets"][wildcards.dataset][key] for key in keys}


def dataset_option(key):
    """One option of the dataset's config entry, as a parameter."""
    return lambda wildcards: CONFIG["datasets"][wildcards.dataset][key]


def method_option(key):
    return lambda wildcards: CONFIG["methods"][wildcards.method][key]


def baseline_code(wildcards):
    """Digest of the file a baseline is, and of those it builds on."""
    base = CONFIG["methods"][wildcards.method]["base"]
    return code_digest(*PROJECTION_CODE, "methods/base.py", f"methods/{base}.py", *SPECS[base].builds_on)


def saved_model(wildcards):
    """Folder of a saved model."""
    return as_given(CONFIG["models"][wildcards.model]["path"])


def trust_scores(wildcards):
    """Feature scores that say how far to trust imputed values: of held-out cells wherever there are any.

    A scenario that holds nothing out takes those of one that does, and is like it in all else.
    """
    scenarios, own = CONFIG["scenarios"], wildcards.scenario
    plain = {name: scenarios[name] | {"held_out": 0} for name in [*RUN["scenarios"], own]}
    strict = [n for n in RUN["scenarios"] if scenarios[n]["held_out"] > 0 and plain[n] == plain[own]]
    scenario = own if scenarios[own]["held_out"] > 0 or not strict else strict[0]
    names = dict(wildcards.items()) | {"scenario": scenario}
    return f"{METHOD}/feature_scores.tsv".format(**names)


def scenario_option(key):
    return lambda wildcards: CONFIG["scenarios"][wildcards.scenario][key]


def where_asked(key, path):
    """An input of the scenarios that have an option, and of no other."""
    return lambda wildcards: (
        [] if CONFIG["scenarios"][wildcards.scenario][key] is None else path.format(**wildcards)
    )


def all_results():
    """What `rule all` asks for."""
    results = every("results/{dataset}/applied/{model}/completed.h5mu", model=RUN["apply"])
    if METHODS and RUN["scenarios"]:
        results += ["results/metrics.tsv", "results/summary.rst", *comparisons()]
        results += every(f"{FIGURES}/scores.svg") if RUN["figures"] == "full" else []
        results += ["results/settings.tsv"] if TUNED else []
    if SHOWN and RUN["scenarios"] and RUN["figures"] == "full":
        results += every(f"{METHOD}/completed.h5mu", method=SHOWN, seed=RUN["seeds"][0])
        results += every(f"{FIGURES}/{{figure}}.svg", figure=FIGURES_OF_METHOD)
    if ESTIMATED and RUN["scenarios"] and RUN["figures"] == "full":
        results += every(f"{FIGURES}/estimated_correspondence.svg")
    return results + differences() + explanations()
