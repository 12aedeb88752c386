"""What tests of the ground share."""

import logging

import pytest


@pytest.fixture
def quiet_logging():
    """Jobs set up logging anew: put back what was there."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
