"""What jobs import before they begin: nothing that takes long and that only others need."""

import ast
import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "scanpy", "umap", "numba", "pynndescent", "shap", "optuna", "muon"}


def imports_of(script: Path) -> str:
    """The statements of a script that import at its beginning."""
    nodes = ast.parse(script.read_text()).body
    return "\n".join(ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))


def loaded(statements: str) -> set[str]:
    """Which of the heavy packages a new interpreter has loaded after these statements."""
    path = f"import sys\nsys.path.insert(0, {str(ROOT / 'workflow_scripts')!r})"
    code = f"{path}\n{statements}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


def test_only_rules_that_are_known_to_need_torch_import_it_and_none_imports_what_it_may_not_need():
    with_torch = runpy.run_path(str(ROOT / "rules/needs.smk"))["WITH_TORCH"]
    scripts = sorted((ROOT / "workflow_scripts").glob("*.py"))
    others = [script for script in scripts if script.stem not in with_torch]
    assert loaded("\n".join(map(imports_of, others))) == set()
    assert loaded("\n".join(map(imports_of, scripts))) == {"torch"}
