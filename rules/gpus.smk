# GPUs of one machine: as many jobs at a time that ask for one as there are; a cluster counts its own.
from jamie.jobs.gpus import visible as visible_gpus

if (
    workflow.is_main_process
    and workflow.local_exec
    and "gpu" not in workflow.global_resources
    and (gpus_here := visible_gpus())
):
    workflow.register_resource("gpu", len(gpus_here))
