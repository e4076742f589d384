"""What skl2onnx needs to convert our models, and its private names, in one place.

skl2onnx asks a model of a class that it doesn't know for its `onnx_parser`. That is
when a classifier's class is registered: not at import, which would take skl2onnx along,
and not by the user. A converter has nothing to compute, since the same model in
scikit-learn is a `LogisticRegression`, whose converter skl2onnx has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Parser = Callable[..., list[Any]]

# Those of LogisticRegression.
_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
}


def classifier_parser(classifier: Any) -> Parser | None:
    """Return what registers a classifier's class and declares its outputs.

    None stands for skl2onnx's parser, once it knows the class.
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
    """Return what declares the outputs of a search's best estimator."""

    def parse(scope: Any, inputs: list[Any]) -> list[Any]:
        best = search.best_estimator_
        for key in (type(search), id(search)):
            scope.add_options(id(best), (scope.options or {}).get(key))
        return _parse_instead(scope, best, inputs)

    return parse


def _parse_instead(scope: Any, model: Any, inputs: list[Any]) -> list[Any]:
    """Declare a model in place of the one that skl2onnx has declared last.

    That one is of an unknown class. skl2onnx goes on with its outputs, and those that
    are returned.
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
    """Set types and shapes of the outputs, as of scikit-learn's linear classifiers."""
    from skl2onnx.common.shape_calculator import (
        _calculate_linear_classifier_output_shapes,
    )

    _calculate_linear_classifier_output_shapes(operator, enable_type_checking=False)


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Convert a classifier as a `LogisticRegression` of the same coefficients."""
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
