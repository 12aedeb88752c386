"""Tables of genes, as files and in memory."""

import gzip

import pandas as pd


def write(folder, text, name="x"):
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def table(rows, columns="chrom start end strand"):
    """Indexed by the first of each row."""
    return pd.DataFrame.from_dict({row[0]: row[1:] for row in rows}, orient="index", columns=columns.split())
