# A method that fails does not stop the others: its jobs leave a record in the place of their outputs.
#
# What raises is recorded at once. What is killed leaves nothing: after the last attempt that --retries allows, one more
# only records it (jamie.jobs.attempts). At the end all failures are named, and the exit status is not 0.
from jamie import unmade
from jamie.jobs import attempts

for name in (attempts.ALLOWED, attempts.RUN):  # for the jobs
    os.environ.setdefault(name, "")


envvars:
    attempts.ALLOWED,
    attempts.RUN,


def may_fail(rule):
    """As params of a method: where attempts of the rule are noted, and how often it has failed so far.

    The second changes with every failure, so that the next run tries again, and no more after a success.
    """
    # here wherever results lie, in a storage or below the prefix of a module
    of_rule = workflow.modifier.path_modifier.replace_prefix(f"{METHOD}/{rule}.json")
    path = f".snakemake/jamie/attempts/{of_rule}"
    return {
        "attempts": path,
        "failures": lambda wildcards: attempts.state(path.format(**dict(wildcards.items())))["failures"],
    }


def failed_methods():
    """Records of what failed, of all jobs of this run, and of those that it found done."""
    jobs = (job for job in workflow.dag.jobs if job.rule.params.get("attempts"))
    records = (attempts.state(job.params.attempts)["failed"] for job in jobs)
    return sorted(filter(None, records), key=lambda record: record["log"])


def tell_failures(records):
    print(f"\nFailed fits of methods: {len(records)}. All scores are those of the others.", file=sys.stderr)
    for record in records:
        print(f"  {unmade.in_words(record, record['method'])}", file=sys.stderr)
    print("The same command tries them again, and what follows from them.", file=sys.stderr)


def end_as_failed(records):
    """Make Snakemake end with exit status 1, once it has written the report that --report-after-run asks for.

    An error from `onsuccess` would keep it from that; there is no other say, so that what ends Snakemake is replaced.
    """
    leave = sys.exit

    def exit_as_failed(status=0):
        tell_failures(records)
        leave(status or 1)

    sys.exit = exit_as_failed


def allow_attempts():
    """Tell jobs how many attempts there are."""
    os.environ[attempts.ALLOWED] = str(workflow.execution_settings.retries + 1)


onstart:
    look_when_jobs_end()
    allow_attempts()
    for notice in runs.cancel_earlier():
        logger.warning(notice)


onsuccess:
    if records := failed_methods():
        end_as_failed(records)


onerror:
    if records := failed_methods():
        tell_failures(records)
