"""The house rules that no linter knows."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULE_FILES = [ROOT / "Snakefile", ROOT / "workflow/Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
SCRIPTS = sorted((ROOT / "workflow_scripts").glob("*.py"))
PACKAGE = sorted((ROOT / "workflow_scripts/jamie").rglob("*.py"))
OURS = [*SCRIPTS, *PACKAGE, *RULE_FILES, *sorted((ROOT / "tests").rglob("*.py"))]
LINT = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
COMMANDS = [line.strip().replace("$(BIN)/", "") for line in LINT.splitlines()]


def test_make_lint_asks_every_linter():
    """It is `make lint` that asks them, not the tests."""
    assert [command.split()[:2] for command in COMMANDS] == [
        ["ruff", "check"],
        ["ruff", "format"],
        ["snakefmt", "--check"],
        ["snakemake", "--lint"],
        ["PYTHONPATH=workflow_scripts", "lint-imports"],
    ]


def test_every_rule_has_its_script_and_every_script_its_rule():
    text = "\n".join(file.read_text() for file in RULE_FILES)
    blocks = re.split(r"^rule (\w+):$", text, flags=re.MULTILINE)[1:]
    named = {
        rule: match[1]
        for rule, body in zip(blocks[::2], blocks[1::2], strict=True)
        if (match := re.search(r'"\.\./workflow_scripts/(\w+)\.py"', body))
    }
    assert named == {rule: rule for rule in named}
    assert sorted(named) == [path.stem for path in SCRIPTS]


def test_budgets_of_lines():
    """A file that has outgrown these wants to be two; a module holds one thought, which seldom takes 300."""
    budget = dict.fromkeys(SCRIPTS, 60) | dict.fromkeys(PACKAGE, 400) | dict.fromkeys(RULE_FILES, 150)
    budget[ROOT / "workflow/Snakefile"] = 70
    budget[ROOT / "config/config.yaml"] = 150
    n_lines = {path: len(path.read_text().splitlines()) for path in budget}
    over = {str(path.relative_to(ROOT)): n for path, n in n_lines.items() if n > budget[path]}
    assert over == {}


def test_no_two_test_files_have_one_name():
    """pytest takes them for one module, and only a run of both says so."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_no_finding_is_silenced_and_nothing_is_left_open():
    marks = [
        "no" + "qa",
        "type: " + "ignore",
        "TO" + "DO",
        "FIX" + "ME",
        "except" + ":",
        "pragma: " + "no cover",
    ]
    found = [
        f"{path.relative_to(ROOT)}: {mark}" for path in OURS for mark in marks if mark in path.read_text()
    ]
    assert found == []


def test_no_module_is_named_for_nothing_in_particular():
    assert {"utils", "helpers", "misc", "common"}.isdisjoint(path.stem for path in [*SCRIPTS, *PACKAGE])


def test_no_test_file_imports_another_and_none_is_timed():
    """What tests share lies in tests/shared; how fast something is, a benchmark says."""
    files = {path.stem: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    imported = re.compile(r"^\s*(?:from|import) (test_\w+|conftest)\b", re.MULTILINE)
    clock = re.compile(r"\btime\.(perf_counter|process_time|monotonic|time)\(\) -")
    found = [f"{file} imports {name}" for file, text in files.items() for name in imported.findall(text)]
    found = [line for line in found if line.split()[0] != line.split()[-1]]  # a process of its own may
    assert found + [f"{file} measures a time" for file, text in files.items() if clock.search(text)] == []
