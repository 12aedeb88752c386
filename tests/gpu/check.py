"""One command that checks and measures JAMIE on a GPU, in at most 6 minutes:

    PYTHONPATH=workflow_scripts python tests/gpu/check.py --out docs/gpu.md

Needs Python 3.12, torch 2.9 or newer with CUDA, numpy, scipy, pandas, scikit-learn and tqdm, and nothing else
of the project's environment. Two parts ask for more and say so where it is missing: POT (the default estimate
of F~); anndata, mudata and safetensors (the estimator on MuData). Where there is no network, bring them:

    pip download --only-binary=:all: --python-version 3.12 --platform manylinux_2_28_x86_64 -d wheels \\
        POT anndata mudata safetensors
    pip install --no-index --find-links wheels POT anndata mudata safetensors

(the second line there). Every part is a process of its own with a limit of time, so that one that fails,
hangs or breaks the device is a row with the reason. The exit status is 1 if one failed or found no time left.
`--device cpu --quick` is a dry run: the same code, tiny data, no compiler.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import sys
import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from measures import PARTS, QUICK, REAL, NotHere

MINUTES = 6.0  # for which the limits of the parts are meant
LEAST_S = 5.0  # with less time left a part is not begun
OK, MEASURED, FAILED, NOT_RUN = "ok", "measured", "FAILED", "not run"
COLUMNS = ("part", "what", "result", "wanted", "verdict")


@dataclass(frozen=True)
class Row:
    """A line of the table; ``wanted`` is empty where a number is measured and none is demanded."""

    part: str
    what: str
    result: str
    wanted: str = ""
    verdict: str = MEASURED


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--quick", action="store_true", help="tiny data, to see that every part runs")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all parts together")
    parser.add_argument("--out", type=Path, help="markdown file to write")
    arguments = parser.parse_args()
    deadline = time.monotonic() + 60 * arguments.minutes
    rows = [row for name in arguments.parts for row in run(name, arguments, deadline)]
    text = f"{heading(rows, arguments)}\n\n{as_markdown(rows)}"
    print(text)
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text)
    return int(any(row.verdict == FAILED for row in rows))


def run(name: str, arguments, deadline: float) -> list[Row]:
    """The rows of one part, from a process of its own; what it had measured stays if it fails or hangs."""
    start = time.monotonic()
    limit_s = min(PARTS[name].limit_s * max(1.0, arguments.minutes / MINUTES), deadline - start)
    if limit_s < LEAST_S:
        return [Row(name, "", "no time left", f"all parts in {arguments.minutes:g} minutes", FAILED)]
    receiving, sending = multiprocessing.get_context("fork").Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=measure, args=(name, arguments, sending))
    child.start()
    sending.close()
    rows: list[Row] = []
    ended = False
    while not ended and receiving.poll(max(0.0, start + limit_s - time.monotonic())):
        try:
            rows.append(receiving.recv())
        except EOFError:
            ended = True
    if not ended:
        child.kill()
        rows.append(Row(name, "", f"stopped after {limit_s:.0f} s", "an end", FAILED))
    child.join()
    if ended and child.exitcode:
        rows.append(Row(name, "", f"the process ended with {child.exitcode}", "0", FAILED))
    print(f"{name}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)
    return rows


def measure(name: str, arguments, sending) -> None:
    """What the process of a part does: send its rows, one by one."""
    try:
        for what, result, *wanted in PARTS[name].function(
            arguments.device, QUICK if arguments.quick else REAL
        ):
            sending.send(judged(name, what, result, *wanted))
    except NotHere as reason:
        sending.send(Row(name, "", str(reason), "", NOT_RUN))
    except Exception as error:  # whatever it is, it is the result of this part
        traceback.print_exc()
        said = str(error).strip().splitlines() or [""]
        sending.send(Row(name, "", f"{type(error).__name__}: {said[0]}", "", FAILED))
    finally:
        sending.close()


def judged(part: str, what: str, result, wanted: str = "", holds: bool | None = None) -> Row:
    """A row; ``holds`` says whether the result is as wanted, None: nothing is demanded."""
    verdict = {None: MEASURED, True: OK, False: FAILED}[None if holds is None else bool(holds)]
    if not isinstance(result, str):
        result = f"{result:,.0f}" if abs(result) >= 1_000 else f"{result:.4g}"
    return Row(part, what, result, wanted, verdict)


def heading(rows: list[Row], arguments) -> str:
    import torch

    card = next((row.result for row in rows if row.what == "card"), "not known")
    date = datetime.now(UTC).date()
    return (
        f"# {'A dry run' if arguments.quick else 'What was measured'} on {arguments.device}\n\n"
        f"{card}; {date}; Python {platform.python_version()}, torch {torch.__version__}"
        + (f", CUDA {torch.version.cuda}" if arguments.device == "cuda" else "")
        + f". Written by `tests/gpu/check.py`, which says what it needs. {counts(rows)}"
    )


def counts(rows: list[Row]) -> str:
    verdicts = [row.verdict for row in rows]
    return ", ".join(f"{verdicts.count(v)} {v}" for v in (OK, MEASURED, NOT_RUN, FAILED)) + "."


def as_markdown(rows: list[Row]) -> str:
    lines = [COLUMNS, ["---"] * len(COLUMNS)]
    lines += [[getattr(row, column).replace("|", "\\|") for column in COLUMNS] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
