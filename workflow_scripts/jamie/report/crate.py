"""A finished run as a research object: `Workflow Run RO-Crate 0.5 <https://w3id.org/ro/wfrun/workflow/0.5>`_.

The crate is the folder ``results/`` itself. Its metadata name the workflow (a copy of which goes with them),
the configuration as merged, versions, digests of the code, and every input and result with size and sha256.
No path of the machine is in them: inputs are known by name and checksum.
"""

from __future__ import annotations

import mimetypes
import re
import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path, PurePath

from jamie import __version__
from jamie.data.stored import in_storage

METADATA, CONFIG, WORKFLOW = "ro-crate-metadata.json", "ro-crate-config.yaml", "ro-crate-workflow"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"  # sha256 is a term of it
SOURCE = (
    "Snakefile",
    "LICENSE",
    "CITATION.cff",
    "config",
    "envs",
    "report",
    "rules",
    "workflow",
    "workflow_scripts",
)
NAME = "JAMIE workflow"
PYTHON = "https://www.python.org/"
KINDS = {".h5mu": "application/x-hdf5", ".h5ad": "application/x-hdf5", ".npz": "application/zip"}
KINDS |= {".tsv": "text/tab-separated-values", ".bedpe": "text/tab-separated-values", ".rst": "text/x-rst"}
LICENCE = "Not stated. Who may use the results is for those to say whose data they come from."


def without_paths(value):
    """A configuration in which absolute local paths are cut to their last part, and ``mirror`` is none."""
    if isinstance(value, dict):
        return {key: None if key == "mirror" else without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    if isinstance(value, str) and re.match(r"[/~\\]|[A-Za-z]:[/\\]", value):
        return PurePath(value.replace("\\", "/")).name
    return value


def of_this_run(path: Path, config: dict) -> bool:
    """Whether a result belongs to what is selected under ``run:``, and not to an earlier selection."""
    run = config["run"]
    others = set(config["scenarios"]) | set(config["methods"]) | set(config["datasets"])
    others -= {*run["datasets"], *run["scenarios"], *run["methods"]}
    seeds = {f"seed{seed}" for seed in run["seeds"]}
    parts = path.parent.parts
    return not any(part in others or (re.fullmatch(r"seed\d+", part) and part not in seeds) for part in parts)


def commit_of(folder: Path) -> str | None:
    """The git commit that the workflow's files are at, with a word where they differ; None outside of git."""
    git = ["git", "-C", str(folder)]
    top = _output([*git, "rev-parse", "--show-toplevel"])
    if top is None or Path(top).resolve() != folder.resolve():
        return None
    changed = _output([*git, "status", "--porcelain", "--untracked-files=no"])
    return f"{_output([*git, 'rev-parse', 'HEAD'])}{', with changes' if changed else ''}"


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git here
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def copy_workflow(source: Path, target: Path) -> None:
    """Copy what a run needs of the workflow, without caches."""
    for name in SOURCE:
        if (source / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
            shutil.copytree(source / name, target / name, ignore=ignored)
        elif (source / name).exists():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)


def describe(
    *,
    datasets: dict[str, str],
    results: dict[str, dict],
    inputs: Iterable[tuple[str, dict]],
    versions: dict[str, str],
    identifiers: dict[str, str],
    ended_ns: int,
):
    """The crate's metadata.

    Parameters
    ----------
    datasets
        Name to description, of those that were run.
    results
        Path below ``results/`` to ``size`` in bytes and ``sha256``.
    inputs
        Dataset, and role -> account as `jamie.data.inputs.account` gives it.
    versions
        Package to version.
    identifiers
        What identifies the code: name to value, such as a digest or a commit.
    ended_ns
        When the last result was written, ns since 1970.
    """
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(CONTEXT)
    crate.name = f"Run of the {NAME} on {', '.join(datasets)}"
    about = " ".join(f"{name}: {words}" for name, words in datasets.items())
    crate.description = (
        f"Partially paired single-cell data: embedding, imputation, scores and report. {about}"
    )
    crate.license = _add(
        crate, "#licence", "CreativeWork", name="Licence of the results", description=LICENCE
    )
    crate.root_dataset["conformsTo"] = [
        _add(crate, url, "CreativeWork", name=name, version=url.rsplit("/", 1)[1])
        for url, name in PROFILES.items()
    ]
    workflow = crate.add_workflow(
        dest_path=f"{WORKFLOW}/Snakefile", main=True, lang="snakemake", lang_version=versions["snakemake"]
    )
    _describe_workflow(crate, workflow, versions, identifiers)
    read = [_add_config(crate), *(_add_input(crate, *item) for item in _each(inputs))]
    written = [_add_result(crate, path, account) for path, account in sorted(results.items())]
    ended = datetime.fromtimestamp(ended_ns / 1e9, UTC).isoformat(timespec="seconds")
    crate.root_dataset["datePublished"] = ended
    action = _add(
        crate,
        "#run",
        "CreateAction",
        name=f"Run of the {NAME}",
        description=f"snakemake --snakefile {WORKFLOW}/Snakefile --configfile {CONFIG}",
        endTime=ended,
        instrument=workflow,
        object=read,
        result=written,
        actionStatus="http://schema.org/CompletedActionStatus",
    )
    crate.root_dataset["mentions"] = action
    return crate


def _add(crate, identifier: str, kind: str, **properties):
    from rocrate.model.contextentity import ContextEntity

    return crate.add(ContextEntity(crate, identifier, properties={"@type": kind, **properties}))


def _describe_workflow(crate, workflow, versions: dict[str, str], identifiers: dict[str, str]) -> None:
    workflow["name"], workflow["version"] = NAME, __version__
    workflow["encodingFormat"] = "text/plain"
    workflow["license"] = "https://spdx.org/licenses/BSD-3-Clause"
    workflow["url"] = "https://doi.org/10.1038/s42256-023-00663-z"
    workflow["identifier"] = [
        _add(crate, f"#{key.replace(' ', '-')}", "PropertyValue", name=key, propertyID=key, value=value)
        for key, value in identifiers.items()
    ]
    workflow["softwareRequirements"] = [
        _add(crate, url, "SoftwareApplication", name=name, softwareVersion=version, url=url)
        for name, version in sorted(versions.items())
        for url in [PYTHON if name == "python" else f"https://pypi.org/project/{name}/{version}/"]
    ]
    folder = crate.add_dataset(dest_path=f"{WORKFLOW}/")
    folder["name"] = f"The {NAME}, as it was run"
    folder["description"] = "Rules, scripts and package; its Snakefile is the main workflow."


def _add_config(crate):
    properties = {"name": "Configuration as merged", "encodingFormat": "application/yaml"}
    properties["description"] = "Absolute paths are cut to the names of files."
    return crate.add_file(dest_path=CONFIG, properties=properties)


def _each(inputs: Iterable[tuple[str, dict]]):
    for dataset, roles in inputs:
        for role, about in roles.items():
            for name, account in about["files"].items():
                yield dataset, role, about["source"], name, account


def _add_input(crate, dataset: str, role: str, source: dict, name: str, account: dict):
    """An input, which is no part of the crate: its name, where it is published, and its checksum."""
    local = PurePath(source.get("path") or "")
    origin = source.get("url") or (source["path"] if in_storage(source.get("path")) else None)
    if source.get("pypi"):
        package, version = source["pypi"].split("==")
        origin = f"https://pypi.org/project/{package}/{version}/"
    file = name or PurePath(source.get("member") or source.get("url") or local).name
    properties = {
        "name": f"{local.name}/{file}" if name else file,
        "description": f"{role} of the dataset {dataset}",
        "contentSize": str(account["size"]),
        "sha256": account["sha256"],
    }
    if origin:
        properties["url"] = origin
    return _add(crate, f"#input-{dataset}-{role}-{account['sha256'][:16]}", "CreativeWork", **properties)


def _add_result(crate, path: str, account: dict):
    suffix = PurePath(path).suffix
    kind = KINDS.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
    properties = {"name": PurePath(path).name, "encodingFormat": kind, "contentSize": str(account["size"])}
    return crate.add_file(dest_path=path, properties=properties | {"sha256": account["sha256"]})
