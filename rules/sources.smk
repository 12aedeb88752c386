# The local files and folders that rules read; a missing one ends a dry run, too.
from jamie import datasets_table
from jamie.data.sources import content_digest, located


def raw_input(wildcards):
    """What ingest reads: the simulation, or the list of fetched files and every local file on it."""
    name, entry = wildcards.dataset, CONFIG["datasets"][wildcards.dataset]
    if entry["reader"] == "simulate":
        return {"simulation": f"resources/{name}/simulated.h5mu"}
    sources = {f"files.{role}": source for role, source in entry["files"].items()}
    sources |= {"correspondence": entry["correspondence"]} if entry["correspondence"] else {}
    return {"files": f"resources/{name}/files.json", "local": local_files(name, sources)}


def local_files(dataset, sources):
    """Paths of those sources (key -> source) that are files or folders here; a missing one ends a dry run, too."""
    try:
        return [
            str(located(source, CONFIG["mirror"], f"datasets.{dataset}.{key}"))
            for key, source in sources.items()
            if source.get("path")
        ]
    except InputError as error:
        raise WorkflowError(f"{error}{datasets_table.place(config, dataset)}") from None


def folders_read(wildcards):
    """Digest of what is in each folder that ingest reads: the time of a folder does not tell of a file in it."""
    given = raw_input(wildcards).get("local", [])
    return {path: content_digest(path) for path in given if os.path.isdir(path)}
