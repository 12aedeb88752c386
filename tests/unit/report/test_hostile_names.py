"""Names that come from data are shown as they are and never read: as markup, as formulas or as paths."""

import xml.etree.ElementTree as ET
from html import unescape

import pandas as pd
import pytest
from matplotlib.figure import Figure

from jamie import io
from jamie.evaluation import phrases, roles
from jamie.plots import silhouettes, style
from jamie.report import first_page, links_page
from shared.pages import GOOD, html_of, table

HOSTILE = (
    "\n\n.. raw:: html\n\n   <script>alert(1)</script>\n",
    "\n\n.. include:: SECRET\n",
    ".. raw:: html",
    ".. include:: SECRET",
    ".. |x| image:: SECRET",
    "|x|",
    "`x <javascript:alert(1)>`_",
    ":raw-html:`<b>`",
    "javascript:alert(1)",
    "http://host/x",
    "me@host.org",
    "<script>alert(1)</script>",
    "name_",
    "__anonymous__",
    "_`target`",
    "[1]_",
    "*emphasis* **strong** ``literal``",
    "\\",
    "\\\\\\\\",
    "- item",
    "1. item",
    "iv) item",
    "(a) item",
    "#. item",
    ":field: value",
    "| line",
    ">>> 1",
    "ends so::",
    "1::",
    "====",
    "+---+",
    "a\u2028.. raw:: html",
    "\x00\x1b[2J",
)


def shown(text: str) -> str:
    """A name as a page can show it: in one line, what cannot be printed left out."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


@pytest.fixture
def in_a_folder(tmp_path, monkeypatch):
    """A folder with a file that no page may read in."""
    (tmp_path / "SECRET").write_text("read in")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("place", ["{}", "On {} cells; {}: r = 1.", "of {}"])
def test_a_caption_shows_words_and_reads_none(name, place, in_a_folder):
    import docutils.core
    from docutils import nodes

    words = place.format(name, name)
    for text, kind in (
        (phrases.caption(words, {"wrong_pairs": 0}), nodes.paragraph),
        (phrases.caption([words, words], {"wrong_pairs": 0}), nodes.bullet_list),
    ):
        settings = {"report_level": 2, "halt_level": 2}
        document = docutils.core.publish_doctree(f"First.\n\n{text}", settings_overrides=settings)
        assert [type(part) for part in document] == [nodes.paragraph, kind]
        assert {type(node) for node in document[1].findall()} <= {
            nodes.bullet_list, nodes.list_item, nodes.paragraph, nodes.Text,
        }  # fmt: skip
        assert {part.astext() for part in document[1].findall(nodes.paragraph)} == {shown(words)}


def test_caption_words_of_figures_name_a_type_or_a_gene_unescaped():
    means = pd.DataFrame({"jamie": [0.5, 0.1]}, index=[silhouettes.EVERY, "T*_cell"])
    words = silhouettes.in_words(means, pd.Series({silhouettes.EVERY: 9}), "cells", {"knn": "`no`"})
    assert "T*_cell" in words and "`no`" in words and "\\" not in words


@pytest.mark.parametrize("name", HOSTILE)
def test_the_first_page_shows_a_label_and_a_description_as_they_are(name, in_a_folder, monkeypatch):
    monkeypatch.setattr(roles, "_LABELS", {**roles._LABELS, "knn": name, "rna": name})
    facts = first_page.Facts({"rna": 1100, "atac": 1050}, {"rna": 210, "atac": 210}, n_pairs=10, n_known=4)
    estimate = {"confidence": 0.1, "used": False, "reason": name}
    facts.estimates = [estimate]
    of_page = {
        "datasets": {"toy_data": {"description": name}},
        "scenarios": {"paired_50": {"held_out": 0.2, "known_pairs": 0.5}},
        "seeds": [0, 1],
        "shown": ["jamie"],
        "infos": [],
        "enough": {"toy_data": name},
        "explained": {"toy_data": name},
    }
    text = first_page.first_page(table(GOOD), {("toy_data", "paired_50"): facts}, **of_page)
    html, complaints = html_of(text)
    assert not complaints
    assert "<script" not in html and "read in" not in html and "<a " not in html and "<img" not in html
    assert unescape(html).replace("\n", " ").count(shown(name)) >= 6


@pytest.mark.parametrize("name", [n for n in HOSTILE if "<" in n])
def test_a_page_of_html_escapes_genes_and_peaks(name):
    row = {"gene": name, "peak": name, "peak_label": name, "set": name, "gene_symbol": name}
    numbers = {"distance_bp": 1, "q_set": 0.01, "weight": 1.0, "q_value": 0.01, "rank_score": 1.0}
    numbers |= {"attribution": 0.1, "attribution_sd": 0.0, "effect": 1.0, "correlation": 0.5, "p_value": 0.1}
    pairs = pd.DataFrame([row | numbers | {"in_gene_body": False, "in_credible_set": True}])
    page = links_page.links_page(pairs, 0.1)
    assert "<script>alert" not in page and "&lt;" in page


def test_a_figure_takes_no_name_for_a_formula(tmp_path):
    @style.styled
    def draw():
        figure = Figure()
        ax = figure.subplots()
        ax.plot([1, 1000], [1, 1000])
        ax.set(xscale="log", yscale="log", title="cost $\\foo{$ <script>")  # no formula that could be read
        ax.set_xticks([1, 10], ["$a^$", "<b>"])
        return figure

    style.save(draw(), tmp_path / "figure.svg")
    tree = ET.parse(tmp_path / "figure.svg")
    assert {element.tag.rsplit("}", 1)[1] for element in tree.iter()}.isdisjoint({"script", "b"})


NAMES = (
    "../../../x",
    "a/b",
    "a\\b",
    "/etc/passwd",
    ".hidden",
    "..",
    "",
    "con",
    "NUL.txt",
    "x" * 300,
    "Actb",
    "ACTB",
    "a\nb",
    "a\x00b",
    "HLA-A",
    "RP11-34P13.7",
    "ends.",
    "größe",
    "a b",
    "\ud800",
    "-rf",
)


def test_file_names_from_data_are_no_paths_and_no_two_are_equal(tmp_path):
    digest = io.file_names(["a/b"])["a/b"]
    names = io.file_names([*NAMES, *NAMES, digest, digest.upper()])
    assert list(names) == [*NAMES, digest, digest.upper()]
    assert len({name.casefold() for name in names.values()}) == len(names)
    for name in names.values():
        (tmp_path / f"{name}.svg").write_text("")
        assert (tmp_path / f"{name}.svg").resolve().parent == tmp_path and not name.startswith((".", "-"))
        assert len(name) <= 80 and name.isascii()
    assert len(list(tmp_path.iterdir())) == len(names)
    assert {"HLA-A": "HLA-A", "RP11-34P13.7": "RP11-34P13.7"}.items() <= names.items()
    assert names["Actb"] != "Actb" and io.file_names(["Actb"]) == {"Actb": "Actb"}  # beside ACTB
