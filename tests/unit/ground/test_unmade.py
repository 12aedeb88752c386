"""The record in place of a file that a failed method did not make."""

from __future__ import annotations

import pytest

from jamie import JAMIE, InputError, io, unmade
from jamie.model.crossfit import CrossFit

RECORD = {"status": "failed", "reason": "ValueError: x", "log": "logs/a.log", "rule": "fit_baseline"}
RECORD |= {"dataset": "d", "scenario": "s", "method": "cca", "seed": 0}


def test_a_record_is_read_as_what_it_is(tmp_path):
    (tmp_path / "run_info.json").write_text(unmade.text(RECORD))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / unmade.IN_FOLDER).write_text(unmade.text(RECORD))
    for name in ("run_info.json", "model"):
        assert unmade.read(tmp_path / name) == {"unmade": True} | RECORD
    assert io.read_json(tmp_path / "run_info.json")["status"] == "failed"


@pytest.mark.parametrize("content", [b"", b"{}", b'{\n  "status": "failed"\n}\n', b"\x89HDF\r\n\x1a\n"])
def test_other_files_are_none(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    assert unmade.read(tmp_path / "file") is None
    assert unmade.read(tmp_path) is None and unmade.read(tmp_path / "nothing") is None
    unmade.refuse(tmp_path / "file")


@pytest.mark.parametrize("reader", [io.read_h5mu, io.read_table, JAMIE.load, CrossFit.load])
def test_readers_refuse_it_and_say_what_failed(tmp_path, reader):
    path = tmp_path / "made"
    if reader in (io.read_h5mu, io.read_table):
        path.write_text(unmade.text(RECORD))
    else:
        path.mkdir()
        (path / unmade.IN_FOLDER).write_text(unmade.text(RECORD))
    with pytest.raises(
        InputError, match=r"(?s)method failed.*cca failed in d, s, seed 0: ValueError: x.*a\.log"
    ):
        reader(path)


def test_reasons_that_differ_by_the_log_alone_are_one():
    reasons = [f"x{unmade.LOG}{i}.log" for i in range(3)] + [f"y{unmade.LOG}3.log", "no pairs", "no pairs"]
    found = unmade.alike(reasons)
    assert found == ["x; log: 0.log and 2 more", "y; log: 3.log", "no pairs"]
    assert unmade.without_logs("; ".join(found)) == "x; y; no pairs"


def test_reasons_of_seeds_that_differ_by_numbers_alone_are_one():
    reasons = ["kappa 0.03; 6.0% of 1,000", "kappa -0.01; 83.4% of 1,000", "3 pairs", "4 pairs", "no pairs"]
    assert unmade.alike(reasons) == [
        "kappa 0.03; 6.0% of 1,000 (and 1 more with other numbers)",
        "3 pairs (and 1 more with other numbers)",
        "no pairs",
    ]
    failed = [f"seed {i}: x{unmade.LOG}{i}.log" for i in range(3)]
    assert unmade.alike(failed) == ["seed 0: x (and 2 more with other numbers); log: 0.log and 2 more"]
