# Which failed jobs are tried again.
#
# The profile's `retries` submit a job that failed anew, with more memory and time. One that refused its input would
# refuse it again, after the same wait in the queue. Snakemake knows a number of retries for each rule, in its own words
# `restart_times`, asks the job for it once it has failed, and offers no other say: hence this property is replaced by
# one that looks into the log of the job first. A method that was killed at its last attempt gets one more, to say so.
import time

from jamie.jobs.attempts import allowed, unended
from jamie.entry import refused
from snakemake.jobs import GroupJob, Job

RETRIES_SINCE = time.time()  # an older log tells of an earlier run


def killed(job):
    """Whether a job of a method, which has failed, was killed at its last allowed attempt, or a later one."""
    if not workflow.is_main_process:  # inside what was submitted, one more would end with what was killed
        return False
    noted = getattr(job, "params", {}).get("attempts")
    return bool(noted) and job.attempt >= allowed() and job.attempt == unended(noted)


def restart_times(job):
    """How often a job is tried again: never, once it has refused its input."""
    if killed(job):
        return job.attempt
    return 0 if refused(job.log, RETRIES_SINCE) else job.rule.restart_times


def restart_times_of_group(group):
    """The same of jobs that are submitted together: never, once one of them has refused its input."""
    if any(map(killed, group.jobs)):
        return group.attempt
    any_refused = any(refused(job.log, RETRIES_SINCE) for job in group.jobs)
    return 0 if any_refused else max(job.rule.restart_times for job in group.jobs)


Job.restart_times = property(restart_times)
GroupJob.restart_times = property(restart_times_of_group)
