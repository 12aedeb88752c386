"""Where the tests on a Slurm are skipped, they say why; a real cluster's configuration is never touched."""

import os

import pytest

from slurm import cluster as slurm


@pytest.fixture
def able(monkeypatch, tmp_path):
    """A machine on which a Slurm can be started, with the place of its fixed configuration in a folder."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(slurm.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(slurm, "FIXED", tmp_path / "etc/slurm.conf")
    slurm.FIXED.parent.mkdir()
    assert slurm.why_not() == ""
    return monkeypatch


def test_only_root_can(able):
    able.setattr(os, "geteuid", lambda: 1000)
    assert "root" in slurm.why_not()


def test_missing_programs_are_named_with_the_packages_that_hold_them(able):
    able.setattr(slurm.shutil, "which", lambda name: None if name == "munged" else f"/usr/bin/{name}")
    reason = slurm.why_not()
    assert reason.startswith("no munged:") and " ".join(slurm.PACKAGES) in reason


def test_a_configuration_that_is_there_is_left_alone(able, tmp_path):
    slurm.FIXED.write_text("ClusterName=real\n")
    assert "part of a cluster" in slurm.why_not()
    slurm.FIXED.unlink()
    slurm.FIXED.symlink_to(tmp_path / "nfs/slurm.conf")  # not mounted now
    assert "part of a cluster" in slurm.why_not()


def test_what_ended_tests_left_behind_is_no_obstacle(able, tmp_path):
    folder = tmp_path / f"{slurm.FOLDER}0"
    folder.mkdir()
    slurm.FIXED.symlink_to(folder / "slurm.conf")
    (folder / "slurmctld.pid").write_text(f"{os.getpid()}\n")
    assert "such tests run on it now" in slurm.why_not()
    (folder / "slurmctld.pid").write_text(f"{2**22 + 1}\n")  # beyond the largest pid
    assert slurm.why_not() == ""
    (folder / "slurmctld.pid").unlink()
    assert slurm.why_not() == ""
