"""A short run of the fuzz: the same inputs every time, of every kind; `make fuzz` takes many more."""

import logging

import pytest

from fuzz import forked
from fuzz.kinds import KINDS
from fuzz.search import fuzz

N_INPUTS = 12


@pytest.mark.parametrize("name", KINDS)
def test_a_spoiled_input_ends_in_one_clear_error_or_is_read_as_it_is(name, tmp_path, one_torch_thread):
    def seen(change, found):
        assert found.kind not in forked.WORST, (found, change)

    logging.disable(logging.CRITICAL)
    try:
        outcomes = fuzz(name, N_INPUTS, seed=1, folder=tmp_path, seen=seen)
    finally:
        logging.disable(logging.NOTSET)
    assert len(outcomes) >= N_INPUTS


def test_what_becomes_of_an_input_is_told_whatever_it_does(monkeypatch):
    import os
    import signal

    kill, clear = signal.SIGSEGV, forked.Outcome(forked.CLEAR)
    assert forked.outcome_of(lambda tell: os.kill(os.getpid(), kill)).kind == forked.CRASH
    assert forked.outcome_of(lambda tell: os._exit(3)).kind == forked.CRASH
    assert forked.outcome_of(lambda tell: 1 / 0).kind == forked.OTHER
    assert forked.outcome_of(lambda tell: bytearray(2 * forked.MEMORY_BYTES)).kind == forked.OTHER
    assert forked.outcome_of(lambda tell: clear) == clear
    assert forked.outcome_of(lambda tell: (tell(clear), os.kill(os.getpid(), kill))) == clear
    monkeypatch.setattr(
        forked, "LIMIT_S", 0.5
    )  # after the others, which a busy machine may hold up for longer
    assert forked.outcome_of(lambda tell: signal.pause()).kind == forked.HANG
