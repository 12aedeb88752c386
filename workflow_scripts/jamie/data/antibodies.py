"""What an antibody of a panel binds, by its name: from antibodies.tsv, whose head names the public source."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import pandas as pd

CONTROLS = (
    r"(?i)isotype|control|ctrl|hashtag|unmapped|streptavidin|(?<![a-z])(?:HTO|iso)(?![a-z])|"
    r"(?<![a-z])(?:mouse|rat|ham(?:ster)?|goat|rabbit|[mr])[._ -]*ig[gam](?![a-z])|"
    r"(?<![a-z])igg\d?[abc]?(?:[._ -]*(?:kappa|lambda|[κλk]))?(?:[._ -]*fc)?(?![a-z])"
)
ANTIGEN = r"(?i)igg[._ -]*fc"  # of people, whose surface holds it
BEFORE = (
    r"(?i)^(?:(?:adt|prot|protein|ab|anti|[a-d]?\d{4}|human|mouse|rat|hu|ms|hums|humsrt|mshu)(?![a-z0-9])"
    r"[._ /()-]+)+"
)
AFTER = r"(?i)[._ -]*(?:total(?:seq)?[._ -]*[abcd]?|adt|prot|protein|pabo)$"
PARTS = r"[._:|/, -]+"
GREEK = {
    "alpha": "αa",
    "beta": "βb",
    "gamma": "γg",
    "delta": "δd",
    "epsilon": "εe",
    "kappa": "κk",
    "lambda": "λl",
}
RELATED = ("l", "r")  # the ligand or receptor of what is named before is something else


def is_control(name: str) -> bool:
    """Whether an antibody binds nothing of the cells: isotype controls, hashtags."""
    asked = re.sub(r"(?i)^anti[._ -]+(?:human|mouse|rat)?", "", name)
    return re.search(CONTROLS, asked) is not None and re.search(ANTIGEN, asked) is None


def plain(name: str) -> str:
    """A name in small letters and digits; only between two digits, what separates them stays, as a point.

    Greek letters become their first Latin one. So TCRα/β, TCR alpha beta and TCR-ab are one, but not CD31
    and CD3.1, which is the second antibody against CD3.
    """
    text = name.casefold().replace("ligand", "l").replace("receptor", "r")
    for word, (letter, latin) in GREEK.items():
        text = text.replace(word, latin).replace(letter, latin)
    text = re.sub(r"(?<=\d)[^a-z0-9]+(?=\d)", "\0", text)
    return re.sub(r"[^a-z0-9\0]", "", text).replace("\0", ".")


@cache
def table() -> dict[str, tuple[str, ...]]:
    """Plain name -> symbols of the genes of what is bound, in capital letters; () where none tells of it."""
    with resources.files("jamie.data").joinpath("antibodies.tsv").open(encoding="utf-8") as handle:
        rows = pd.read_csv(handle, sep="\t", comment="#", dtype=str, keep_default_na=False)
    found: dict[str, tuple[str, ...]] = {}
    for name, genes in zip(rows["antibody"].map(plain), rows["genes"], strict=True):
        found[name] = found.get(name, ()) + (() if genes == "-" else tuple(genes.split(",")))
    return found


def genes_of(name: str) -> tuple[str, ...] | None:
    """Symbols of the genes that an antibody's name stands for, by the table; None: it does not know the name.

    Names come as CD3, cd3.2, Hu.CD3_UCHT1, CD3-TotalSeqB, CD3-CTCATTGTAACTCCT, CD123 (IL3RA), IL3RA (CD123),
    anti-human CD8a, CD3:SK7|CD3E|AHS0033|pAbO. What follows a known name is a clone, a barcode or a number.
    """
    known = table()
    for text in tries(name):
        if plain(text) in known:
            return known[plain(text)]
    for text in tries(name):
        for end in reversed(list(re.finditer(PARTS, text))):
            rest = plain(re.split(PARTS, text[end.end() :])[0])
            if plain(text[: end.start()]) in known and rest not in RELATED:
                return known[plain(text[: end.start()])]
    return None


def tries(name: str) -> list[str]:
    """What may be meant by a name: without what stands around it, what it has in brackets, parts of both."""
    text = re.sub(BEFORE, "", re.sub(AFTER, "", name.strip()))
    inside = re.findall(r"\(([^()]+)\)", text)
    whole = [re.sub(r"\([^()]*\)", " ", text).strip(), *inside]
    parts = [part.strip() for text in whole for part in re.split(r"[|/]", text)]
    return [one for one in dict.fromkeys([*whole, *parts]) if one]
