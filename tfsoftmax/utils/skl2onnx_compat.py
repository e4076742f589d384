"""The conversion of models by skl2onnx, and its private names.

skl2onnx calls `onnx_parser` on a model of an unknown class. The class is registered
then: not at import, which would need skl2onnx, and not by the user. The converter has
nothing to compute, since the model is equivalent to a `LogisticRegression`, for which
skl2onnx has a converter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Parser = Callable[..., list[Any]]

# The options of LogisticRegression.
_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
}


def classifier_parser(classifier: Any) -> Parser | None:
    """Return a parser that registers the class and declares its outputs.

    Return None, which means skl2onnx's parser, once it knows the class.
    """
    from skl2onnx._supported_operators import sklearn_operator_name_map

    kind = type(classifier)
    if kind in sklearn_operator_name_map:
        return None

    def parse(scope: Any, inputs: list[Any]) -> list[Any]:
        _register(kind)
        return _parse_instead(scope, classifier, inputs)

    return parse


def search_parser(search: Any) -> Parser:
    """Return a parser that declares the outputs of a search's best estimator."""

    def parse(scope: Any, inputs: list[Any]) -> list[Any]:
        best = search.best_estimator_
        for key in (type(search), id(search)):
            scope.add_options(id(best), (scope.options or {}).get(key))
        return _parse_instead(scope, best, inputs)

    return parse


def _parse_instead(scope: Any, model: Any, inputs: list[Any]) -> list[Any]:
    """Replace the model of unknown class that skl2onnx has declared last.

    skl2onnx continues with its outputs, in addition to those that are returned.
    """
    from skl2onnx._parse import _parse_sklearn

    _, unknown = scope.operators.popitem()
    list.extend(unknown.outputs, _parse_sklearn(scope, model, inputs))
    return []


def _register(kind: type) -> None:
    from skl2onnx import update_registered_converter

    name = f"{kind.__module__}.{kind.__qualname__}"
    update_registered_converter(kind, name, _set_types, _convert, options=_OPTIONS)


def _set_types(operator: Any) -> None:
    """Set the types and shapes of the outputs, as for scikit-learn's classifiers."""
    from skl2onnx.common.shape_calculator import (
        _calculate_linear_classifier_output_shapes,
    )

    _calculate_linear_classifier_output_shapes(operator, enable_type_checking=False)


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Convert a classifier as a `LogisticRegression` with the same coefficients."""
    from skl2onnx import get_model_alias
    from skl2onnx.common._apply_operation import apply_cast, apply_identity
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
    from skl2onnx.proto import onnx_proto

    model = operator.raw_operator.to_sklearn().densify()
    inner = scope.declare_local_operator(get_model_alias(type(model)), model)
    for options in (container, scope):
        options.add_options(id(model), scope.get_options(operator.raw_operator))
    (rows,) = operator.inputs
    if not isinstance(rows.type, FloatTensorType | DoubleTensorType):
        numbers = scope.declare_local_variable("rows", FloatTensorType(rows.type.shape))
        to = onnx_proto.TensorProto.FLOAT
        apply_cast(scope, rows.full_name, numbers.full_name, container, to=to)
        rows = numbers
    inner.inputs = [rows]
    for output in operator.outputs:
        result = scope.declare_local_variable(output.onnx_name, output.type)
        inner.outputs.append(result)
        apply_identity(scope, result.full_name, output.full_name, container)
