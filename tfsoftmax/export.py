"""Conversion of fitted classifiers to other libraries' models and plain state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from tfsoftmax.engine.features import Scaling
from tfsoftmax.engine.runtime import load_keras
from tfsoftmax.solvers.result import Result
from tfsoftmax.solvers.schedules import Progress
from tfsoftmax.solvers.settings import Settings
from tfsoftmax.utils.skl2onnx_compat import Parser, classifier_parser
from tfsoftmax.utils.sparse import to_dense

if TYPE_CHECKING:
    import keras


class ExportMixin:
    """Conversion to other models, and to a state of plain Python and NumPy."""

    coef_: Any
    intercept_: Any
    classes_: Any
    _result: Result
    fit_intercept: bool

    def to_sklearn(self) -> LogisticRegression:
        """Return a `LogisticRegression` with the same coefficients and classes.

        It makes the same predictions and works with all tools that support
        `LogisticRegression`, such as converters to Core ML and PMML. Its parameters,
        except `fit_intercept`, are scikit-learn's defaults, since it was not trained by
        scikit-learn.

        Returns
        -------
        model : LogisticRegression
            A fitted :class:`~sklearn.linear_model.LogisticRegression` with copies of
            the weights and classes.

        Raises
        ------
        NotFittedError
            If this classifier is not fitted.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from tfsoftmax import TFSoftmaxClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> clf = TFSoftmaxClassifier(rescale=1 / 16).fit(X, y)
        >>> bool((clf.to_sklearn().predict(X) == clf.predict(X)).all())
        True
        """
        check_is_fitted(self)
        model = LogisticRegression(fit_intercept=self.fit_intercept)
        model.coef_ = self.coef_.copy()
        model.intercept_ = self.intercept_.copy()
        model.classes_ = self.classes_.copy()
        model.n_iter_ = np.array([self.n_iter_], dtype=np.int32)  # type: ignore[attr-defined]
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(model, name, getattr(self, name))
        return model

    def to_keras(self) -> keras.Sequential:
        """Return a built Keras model with the same predictions, up to float32 rounding.

        It consists of a `Rescaling` layer if `rescale` is a number, or a
        `Normalization` layer if it is an array or "standard", and a `Dense` layer with
        softmax. The output columns are in the order of `classes_`. The model can be
        exported with ``model.export`` (as a SavedModel for TensorFlow Serving),
        converted to LiteRT, and fine-tuned after ``model.compile``.

        Returns
        -------
        model : keras.Sequential
            Maps float32 rows of shape (batch, n_features) to float32 probabilities of
            shape (batch, n_classes).

        Raises
        ------
        NotFittedError
            If this classifier is not fitted.
        ValueError
            If float32 can't represent `rescale` or the weights.
        ImportError
            If Keras can't be imported.

        Examples
        --------
        >>> from sklearn.datasets import load_digits
        >>> from tfsoftmax import TFSoftmaxClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> clf = TFSoftmaxClassifier(rescale=1 / 16).fit(X, y)
        >>> clf.to_keras().output_shape
        (None, 10)
        """
        check_is_fitted(self)
        keras = load_keras()
        factor, mean = self._result.scaling.factor, self._result.scaling.mean
        by_feature = mean is not None or isinstance(factor, np.ndarray)
        if by_feature:
            mean = np.zeros(self.coef_.shape[1]) if mean is None else mean
            with np.errstate(over="ignore"):  # refused below
                mean = mean.astype(np.float32).astype(np.float64)
            # Keras divides by at least its epsilon, and stores the square in float32.
            # The kernel makes up for the difference.
            factor = np.clip(factor, 1e-18, 1 / keras.config.epsilon())
            factor = np.broadcast_to(factor, mean.shape)
        coef = to_dense(self.coef_).astype(np.float64)
        kernel, bias = (coef / factor).T, self.intercept_.astype(np.float64)
        if mean is not None:
            with np.errstate(invalid="ignore"):
                bias = bias + coef @ mean
        _check_float32(factor, kernel, bias)
        if len(self.classes_) == 2:  # the first class is the reference: its logit is 0
            kernel = np.column_stack([np.zeros_like(kernel), kernel])
            bias = np.concatenate([np.zeros_like(bias), bias])
        # In float32, whatever the global dtype policy is.
        dense = keras.layers.Dense(
            len(self.classes_), activation="softmax", dtype="float32"
        )
        layers = [keras.Input(shape=(len(kernel),), dtype="float32"), dense]
        if by_feature:
            normalization = keras.layers.Normalization(
                mean=mean, variance=1 / np.square(factor), dtype="float32"
            )
            layers.insert(1, normalization)
        elif factor != 1:
            layers.insert(1, keras.layers.Rescaling(factor, dtype="float32"))
        model = keras.Sequential(layers)
        dense.set_weights([kernel, bias])
        return model

    def onnx_parser(self) -> Parser | None:
        """Return the parser with which skl2onnx converts this classifier.

        skl2onnx calls this method itself: ``skl2onnx.to_onnx`` converts the classifier,
        alone or in a pipeline, with the same options as a `LogisticRegression`.

        Returns
        -------
        parser : callable or None
            None after the first conversion, which registers the class with skl2onnx.
        """
        return classifier_parser(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state as plain Python and NumPy, without private classes."""
        state: Any = super().__getstate__()
        if result := state.get("_result"):
            state = state | {"_result": _to_plain(result)}
        return dict(state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a state saved by this version or an earlier one."""
        if result := state.get("_result"):
            state = state | {"_result": _from_plain(result)}
        super().__setstate__(state)  # type: ignore[misc]


def _check_float32(factor: Any, *weights: NDArray[Any]) -> None:
    """Check that float32 can represent the factors and weights of a Keras model."""
    least = float(np.finfo(np.float32).smallest_normal)
    most = float(np.finfo(np.float32).max)
    largest = max(float(np.abs(values).max()) for values in weights)
    smallest_factor, largest_factor = float(np.min(factor)), float(np.max(factor))
    if not (least <= smallest_factor and largest_factor <= most and largest <= most):
        raise ValueError(
            f"to_keras builds a float32 model, and float32 can't represent a factor of "
            f"{smallest_factor if smallest_factor < least else largest_factor:.6g} "
            f"or weights up to {largest:.3g}. Scale the features before the fit."
        )


def _to_plain(result: Result) -> dict[str, Any]:
    records = {
        "progress": result.progress,
        "settings": result.settings,
        "scaling": result.scaling,
    }
    plain = {name: dict(vars(record)) for name, record in records.items()}
    return vars(result) | plain


def _from_plain(saved: dict[str, Any]) -> Result:
    settings = saved["settings"]
    if not isinstance(rescale := settings["rescale"], (float, str)):
        settings = settings | {"rescale": tuple(rescale)}
    records = {
        "progress": Progress(**saved["progress"]),
        "settings": Settings(**settings),
        "scaling": Scaling(**saved["scaling"]),
        "slots": tuple(saved["slots"]),
    }
    return Result(**saved | records)
