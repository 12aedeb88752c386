# The files and folders that a dataset is made of, here or in a storage; a missing local one ends a dry run, too.
from jamie import datasets_table
from jamie.data.sources import content_digest, located, of_dataset
from jamie.data.stored import in_storage, roles_in_storage

# what ingest goes by: what a dataset says of annotation, of figures and of matching must not read it anew
READ = "reader", "files", "options", "modalities", "cell_type", "batch", "correspondence", "drop_empty"


def as_given(path):
    """A path as it is, whatever storage or prefix (of a module) the workflow's own files go to."""
    return storage(path) if in_storage(path) else local(path)


def fetched(path):
    """A list of fetched files, which lie beside it: on this file system, also where results go to a storage."""
    return local(path) if workflow.storage_settings.default_storage_provider else path


def raw_input(wildcards):
    """What ingest reads: the simulation, or the list of fetched files and every file on it that was not fetched."""
    name, entry = wildcards.dataset, CONFIG["datasets"][wildcards.dataset]
    if entry["reader"] == "simulate":
        return {"simulation": f"resources/{name}/simulated.h5mu"}
    listed = {"files": fetched(f"resources/{name}/files.json")}
    return listed | given_files(name, ("files", "correspondence"))


def given_files(dataset, keys):
    """What those keys of the dataset's config entry name by `path`: local files and folders, and stored files."""
    entry = CONFIG["datasets"][dataset]
    sources = of_dataset({key: entry[key] for key in keys})
    paths = {
        key.removeprefix("files."): source["path"] for key, source in sources.items() if source.get("path")
    }
    try:
        here = [
            as_given(str(located(source, CONFIG["mirror"], f"datasets.{dataset}.{key}")))
            for key, source in sources.items()
            if source.get("path") and not in_storage(source["path"])
        ]
    except InputError as error:
        raise WorkflowError(f"{error}{datasets_table.place(config, dataset)}") from None
    return {"local": here, "stored": [as_given(paths[role]) for role in roles_in_storage(paths)]}


def folders_read(wildcards):
    """Digest of what is in each folder that ingest reads: the time of a folder does not tell of a file in it."""
    given = raw_input(wildcards).get("local", [])
    return {path: content_digest(path) for path in given if os.path.isdir(path)}


LINKING = "genes", "linked_features"


def has_linking(dataset):
    """Whether a file says which features are linked, or where the genes lie."""
    return any(isinstance(CONFIG["datasets"][dataset][key], dict) for key in LINKING)


WITH_LINKING = [name for name in RUN["datasets"] if ESTIMATED and RUN["scenarios"] and has_linking(name)]


def linking(wildcards):
    """The list of files that say which features are linked, and those that were not fetched.

    What else comes on the list later, for other rules, changes nothing here.
    """
    if not has_linking(wildcards.dataset):
        return {}
    listed = {"files": ancient(fetched(f"resources/{wildcards.dataset}/annotation.json"))}
    return listed | given_files(wildcards.dataset, LINKING)
