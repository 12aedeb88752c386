"""Spoil files of every kind and count what becomes of them: ``make fuzz``.

``PYTHONPATH=tests:workflow_scripts python -m fuzz.run --kinds h5mu table --inputs 100`` runs some of it.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

from fuzz import forked
from fuzz.kinds import KINDS
from fuzz.search import fuzz

MOST_OTHER = 0.01  # share of the inputs that may end in another exception than the one clear error


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000, help="inputs in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--show", action="store_true", help="print what was said of the bad ones")
    given_ = parser.parse_args()
    logging.disable(logging.CRITICAL)
    each, total = -(-given_.inputs // len(given_.kinds)), Counter()
    print(f"{'kind':16}" + "".join(f"{name:>26}" for name in forked.OUTCOMES), flush=True)
    for name in given_.kinds:
        with tempfile.TemporaryDirectory() as folder:
            outcomes = fuzz(name, each, given_.seed, Path(folder))
        counts = Counter(one.kind for one in outcomes)
        total += counts
        print(f"{name:16}" + "".join(f"{counts[kind]:26,}" for kind in forked.OUTCOMES), flush=True)
        bad = Counter((one.kind, one.said) for one in outcomes if one.kind in forked.WORST)
        if given_.show:
            bad |= Counter((one.kind, one.said) for one in outcomes if one.kind == forked.UNREADABLE)
        for (kind, said), n in bad.most_common():
            print(f"    {n:4} {kind}: {said}", flush=True)
    n = sum(total.values())
    print(f"{'all':16}" + "".join(f"{total[kind]:26,}" for kind in forked.OUTCOMES))
    worst = [f"{total[kind]} {kind}" for kind in forked.WORST[1:] if total[kind]]
    if total[forked.OTHER] > MOST_OTHER * n:
        worst.append(f"{total[forked.OTHER] / n:.1%} {forked.OTHER}, of at most {MOST_OTHER:.0%}")
    print(f"{n:,} inputs: {'; '.join(worst) or 'as wanted'}")
    return bool(worst)


if __name__ == "__main__":
    sys.exit(main())
