# When Snakemake looks for jobs to start.
#
# To keep a limit on jobs started per second, Snakemake 9.27 sets a timer for one look more each time it has looked, and
# that look sets the next: one chain for every job that has ended, so that after hundreds of jobs the looks keep a core
# busy and hold up those that start something. Local jobs need no such limit, and `--max-jobs-per-timespan` knows none
# that is not one: hence it is taken away before the first look. On a cluster it stays, with a minute between looks.


def look_when_jobs_end():
    """Have the scheduler look for local jobs to start when one ends, and at no other time."""
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None
