"""How fitted models leave: as files that last, and as other libraries' models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from tfsoftmax.backend import load_keras
from tfsoftmax.schedules import Progress
from tfsoftmax.training import Record, Settings

if TYPE_CHECKING:
    import keras


class TravellerMixin:
    """Saves a fitted classifier as plain Python and NumPy, and converts it."""

    coef_: Any
    intercept_: Any
    classes_: Any
    rescale: float | None
    fit_intercept: bool

    def to_sklearn(self) -> LogisticRegression:
        """Give scikit-learn's model with the same coefficients and classes.

        It predicts the same, and goes wherever a `LogisticRegression` goes: to ONNX
        by skl2onnx, to Core ML, to PMML. It has not been trained: its parameters, but
        for `fit_intercept`, are scikit-learn's defaults.

        Returns
        -------
        model : LogisticRegression
            A fitted :class:`~sklearn.linear_model.LogisticRegression` with weights and
            classes of its own.

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
        """Give a built Keras model that predicts the same, up to float32's rounding.

        A `Rescaling` layer, where `rescale` is not None, and a `Dense` layer with the
        softmax. Its output has a column for each of `classes_`, in that order. Ready
        for ``model.export`` (a SavedModel, for TensorFlow Serving), LiteRT, and
        fine-tuning after ``model.compile``.

        Returns
        -------
        model : keras.Sequential
            From rows of shape (batch, n_features), float32, to probabilities of shape
            (batch, n_classes), float32.

        Raises
        ------
        NotFittedError
            If this classifier is not fitted.
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
        scale = 1.0 if self.rescale is None else float(self.rescale)
        kernel = self.coef_.T.astype(np.float64) / scale
        bias = self.intercept_
        if len(self.classes_) == 2:  # the first class is the reference: its logit is 0
            kernel = np.column_stack([np.zeros_like(kernel), kernel])
            bias = np.concatenate([np.zeros_like(bias), bias])
        dense = keras.layers.Dense(len(self.classes_), activation="softmax")
        layers = [keras.Input(shape=(len(kernel),), dtype="float32"), dense]
        if self.rescale is not None:
            layers.insert(1, keras.layers.Rescaling(scale))
        model = keras.Sequential(layers)
        dense.set_weights([kernel, bias])
        return model

    def __getstate__(self) -> dict[str, Any]:
        """Give the state as plain Python and NumPy, which outlives private classes."""
        state: Any = super().__getstate__()
        if record := state.get("_record"):
            state = state | {"_record": _plain(record)}
        return dict(state)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up a state that `__getstate__` gave, of this version or an earlier."""
        if record := state.get("_record"):
            state = state | {"_record": _record_of(record)}
        super().__setstate__(state)  # type: ignore[misc]


def _plain(record: Record) -> dict[str, Any]:
    parts = {"progress": record.progress, "settings": record.settings}
    return vars(record) | {name: dict(vars(part)) for name, part in parts.items()}


def _record_of(saved: dict[str, Any]) -> Record:
    progress, settings = Progress(**saved["progress"]), Settings(**saved["settings"])
    slots = tuple(saved["slots"])
    return Record(
        **saved | {"progress": progress, "settings": settings, "slots": slots}
    )
