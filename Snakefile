# The workflow is in workflow/Snakefile, where the Snakemake workflow catalog and `module` of other workflows look.
include: "workflow/Snakefile"


# what is included does not bring its default target along
workflow.default_target = workflow.modifier.modify_rulename("all")
