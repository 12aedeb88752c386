"""A saved model that was changed is one clear error, which names its folder."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jamie import JAMIE
from jamie.errors import InputError


@pytest.fixture(scope="module")
def saved(prepared_multiome, small_options, tmp_path_factory, one_torch_thread):
    folder = tmp_path_factory.mktemp("saved") / "model"
    JAMIE(seed=0, **small_options | {"max_epochs": 1}).fit(prepared_multiome).save(folder)
    return folder


def of_config(change):
    def spoil(folder):
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))

    return spoil


def of_arrays(change):
    def spoil(folder):
        arrays = load_file(folder / "weights.safetensors")
        change(arrays)
        save_file(arrays, folder / "weights.safetensors")

    return spoil


def cut(name, n):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:n])


def first(arrays, prefix):
    return next(name for name in arrays if name.startswith(prefix) and name.endswith(".weight"))


BROKEN = {
    "config cut": cut("config.json", 200),
    "config no text": lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe\x00"),
    "config a list": lambda folder: (folder / "config.json").write_text("[]"),
    "weights cut": cut("weights.safetensors", 3000),
    "weights empty": cut("weights.safetensors", 0),
    "no weights": lambda folder: (folder / "weights.safetensors").unlink(),
    "no preprocessing": of_config(lambda c: c.pop("preprocessing")),
    "another modality": of_config(lambda c: c["preprocessing"].update(x=c["preprocessing"].pop("rna"))),
    "fewer features": of_config(lambda c: c["preprocessing"]["rna"]["features"].pop()),
    "a mean too few": of_config(lambda c: c["preprocessing"]["rna"]["mean"].pop()),
    "a mean not finite": of_config(lambda c: c["preprocessing"]["rna"]["mean"].__setitem__(0, float("nan"))),
    "another kind": of_config(lambda c: c["preprocessing"]["rna"].update(kind="x")),
    "an option of words": of_config(lambda c: c["options"].update(hidden_layers="x")),
    "a weight not finite": of_arrays(lambda a: a[first(a, "network.")].fill(np.nan)),
    "a weight missing": of_arrays(lambda a: a.pop(first(a, "network."))),
    "components cut": of_arrays(
        lambda a: a.update({"projection.rna.components": a["projection.rna.components"][:, :-1].copy()})
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_model_is_one_clear_error(saved, tmp_path, broken):
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    assert JAMIE.load(folder, device="cpu").modalities == ("rna", "atac")
    BROKEN[broken](folder)
    with pytest.raises(InputError, match="cannot be read as a saved model") as caught:
        JAMIE.load(folder, device="cpu")
    assert str(folder) in caught.value.problem
