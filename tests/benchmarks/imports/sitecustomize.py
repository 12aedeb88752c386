"""Measures what imports cost in every Python process that has this folder on its PYTHONPATH.

Python runs a module of this name when it starts. On exit, a line of JSON goes to the file that IMPORTS_FILE
names: the script, CPU seconds of its process, and those spent in imports, wherever in the code they stand.
"""

import atexit
import builtins
import json
import os
import sys
import threading
import time

spent_s, depth = 0.0, 0
plain_import, main_thread = builtins.__import__, threading.main_thread()


def timed_import(*args, **kwargs):
    """The outermost import that is running pays for those within it."""
    global spent_s, depth
    if depth or threading.current_thread() is not main_thread:
        return plain_import(*args, **kwargs)
    depth, start = 1, time.thread_time()
    try:
        return plain_import(*args, **kwargs)
    finally:
        depth = 0
        spent_s += time.thread_time() - start


def write():
    line = {"script": os.path.basename(sys.argv[0]), "cpu_s": time.process_time(), "import_s": spent_s}
    with open(os.environ["IMPORTS_FILE"], "a") as file:
        file.write(json.dumps(line) + "\n")


if "IMPORTS_FILE" in os.environ:
    builtins.__import__ = timed_import
    atexit.register(write)
