"""What readers see has one spelling for each name and term."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What is right, and what else people write.
TERMS = {
    "scikit-learn": r"[Ss]cikit[ _][Ll]earn|Scikit-[Ll]earn|Sk-?learn",
    "NumPy": r"Numpy|NUMPY",
    "SciPy": r"Scipy",
    "TensorFlow": r"Tensorflow|Tensor Flow|tensorFlow",
    "ONNX": r"Onnx\b",
    "matplotlib": r"Matplotlib",
    "pandas": r"Pandas\b",
    "joblib": r"Joblib",
    "L-BFGS": r"LBFGS|L-bfgs",
    "MNIST": r"Mnist",
    "DataFrame": r"[Dd]ata frame|Dataframe|dataframe",
    "mini-batch": r"[Mm]ini ?batch",
    "one-hot": r"[Oo]ne hot|[Oo]nehot",
    "cross-entropy": r"[Cc]ross entropy|[Cc]rossentropy",
    "optimise": r"\boptimiz(e[ds]?|ing)\b",
    "minimise": r"\bminimiz",
    "standardise": r"\bstandardiz",
    "optimizer": r"[Oo]ptimiser",
    "colour": r"\b[Cc]olors?\b|\bcolored\b",
    "behaviour": r"[Bb]ehavior",
}


def without_code(text):
    """Markdown or reStructuredText without its code and its links."""
    text = re.sub(r"^( *)(```|:::|\$\$).*?^\1\2", "", text, flags=re.S | re.M)
    text = re.sub(r"^\s*(>>>|\.\.\.|\w+ : ).*", "", text, flags=re.M)
    text = re.sub(r"``.*?``|`[^`]*`|\$[^$]+\$", "", text, flags=re.S)
    return re.sub(r"\]\([^)]*\)|https?://\S+", "", text)


def docstrings(path):
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    found = [ast.get_docstring(node) for node in nodes if isinstance(node, documented)]
    return "\n\n".join(filter(None, found))


def cells(path):
    notebook = json.loads(path.read_text("utf-8"))
    texts = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    return "\n\n".join("".join(cell["source"]) for cell in texts)


READERS = {"*.md": Path.read_text, "*.py": docstrings, "*.ipynb": cells}
FILES = [
    path
    for folder in (".", "docs", "docs/guide", "examples")
    for pattern in READERS
    for path in sorted((ROOT / folder).glob(pattern))
] + sorted((ROOT / "tfsoftmax").rglob("*.py"))


def test_each_name_and_term_is_spelt_in_one_way():
    found = {}
    for path in FILES:
        text = without_code(READERS[f"*{path.suffix}"](path))
        for right, others in TERMS.items():
            if wrong := re.search(others, text):
                found[path.name, right] = wrong[0]
    assert len(FILES) > 100
    assert found == {}


def test_a_wrong_spelling_is_found_and_code_is_let_be():
    text = without_code("`Numpy` and\n```\nSklearn\n```\nTensorflow, [Scipy](Onnx)")
    found = [right for right, others in TERMS.items() if re.search(others, text)]
    assert found == ["SciPy", "TensorFlow"]
