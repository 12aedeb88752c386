# Which methods choose their settings, and what that depends on.
from jamie.evaluation.tuning import search_space

TUNING_CODE = code_digest(
    "evaluation/tuning.py", "evaluation/validation.py", "metrics/alignment.py", "metrics/imputation.py"
)


def may_be_tuned(method):
    """Whether an entry lets its settings be chosen, and leaves some open."""
    entry = CONFIG["methods"][method]
    return entry["tune"] and entry["pairs"] == "known" and bool(search_space(spec(method), entry["options"]))


TUNED = [m for m in METHODS if RUN["tune"] and may_be_tuned(m)]


def tuning_of(wildcards):
    """The settings chosen for a method, where it is tuned."""
    return {"tuning": f"{METHOD}/tuning.json"} if wildcards.method in TUNED else {}


def tuning_code(wildcards):
    """Digest of how settings are chosen, and of the method's own code."""
    own = JAMIE_CODE if wildcards.method in TRAINED else baseline_code(wildcards)
    return f"{TUNING_CODE}.{own}"


def matched_for(wildcards):
    """The estimated correspondence, where a method that is no JAMIE takes its pairs from it."""
    if CONFIG["methods"][wildcards.method]["pairs"] == "known":
        return {}
    return {
        "estimated": f"{DATA}/estimated_correspondence.npz",
        "info": f"{DATA}/estimated_correspondence.json",
    }
