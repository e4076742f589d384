"""Formulas as MathML, which browsers set by themselves: no script, nothing fetched."""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

BAR = '<mo stretchy="false">&#x0007C;</mo>'
OPENING = '<mo stretchy="false">&#x00028;</mo>'


def as_mathml(formula: str, display: str) -> str:
    """Convert a formula, with no space around bars nor after a function's name.

    A name that follows an operator has no space before it either: the operator has it.
    """
    found = convert(formula, display=display)
    found = found.replace(BAR, BAR.replace("<mo", '<mo lspace="0" rspace="0"'))
    found = re.sub(rf"<mo>(\w+)</mo>(?={OPENING})", r'<mo rspace="0">\1</mo>', found)
    return re.sub(r'(?<=</mo>)<mo (rspace="0">\w)', r'<mo lspace="0" \1', found)


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula that stands in a line."""
    translator.body.append(as_mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula that stands by itself."""
    formula = as_mathml(node.astext(), "block")
    translator.body.append(f'<div class="formula">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}
