# A method that fails does not stop the others: its jobs leave a record in the place of their outputs.
#
# What raises is recorded at once. What is killed leaves nothing: after the last attempt that --retries allows, one more
# only records it (jamie.attempts). At the end all failures are named, and the exit status is not 0.
import atexit

from jamie import attempts, unmade

for name in (attempts.ALLOWED, attempts.RUN):  # for the jobs
    os.environ.setdefault(name, "")


envvars:
    attempts.ALLOWED,
    attempts.RUN,


OF_METHODS = [
    "tune_method",
    "tune_torch_method",
    "tune_jamie",
    "fit_baseline",
    "fit_torch_method",
    "train_jamie",
    "embed_impute",
]


def may_fail(rule):
    """Parameters of a rule of a method: where its attempts are noted, and how often it has failed so far.

    The second changes with every failure, so that the next run tries again, and no more after a success.
    """
    path = f"{METHOD}/{rule}.attempts.json"
    return {
        "attempts": path,
        "failures": lambda wildcards: attempts.state(path.format(**dict(wildcards.items())))["failures"],
    }


def failed_methods():
    """Records of what failed, of all jobs of this run, and of those that it found done."""
    jobs = (job for job in workflow.dag.jobs if job.rule.name in OF_METHODS)
    records = (attempts.state(job.params.attempts)["failed"] for job in jobs)
    return sorted(filter(None, records), key=lambda record: record["log"])


def tell_failures(records):
    print(
        f"\nMethods that failed: {len(records)} times. Scores and figures are those of the others.",
        file=sys.stderr,
    )
    for record in records:
        print(f"  {unmade.in_words(record, record['method'])}", file=sys.stderr)
    print("The same command tries them again, and nothing else but what follows from it.", file=sys.stderr)


def end_with_failure():
    """End Snakemake with exit status 1, after what it does once all jobs are done, such as the report."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def allow_attempts():
    """Tell jobs how many attempts there are."""
    os.environ[attempts.ALLOWED] = str(workflow.execution_settings.retries + 1)


onsuccess:
    if records := failed_methods():
        tell_failures(records)
        atexit.register(end_with_failure)  # an error here would keep --report-after-run from its report


onerror:
    if records := failed_methods():
        tell_failures(records)
