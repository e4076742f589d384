"""The estimator: what a user calls."""

from __future__ import annotations

import contextlib
import math
import reprlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    validate_data,
)

from tfsoftmax.chunks import Rows
from tfsoftmax.parameters import check_parameters
from tfsoftmax.training import Entry, Record, Settings, train

if TYPE_CHECKING:
    import pandas as pd

# Rows that prediction casts at a time, where X has to be cast.
_ROWS_PER_BLOCK = 4096


class TFSoftmaxClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Softmax regression, trained by mini-batch gradient descent in TensorFlow.

    With weights W and intercept b, a row x has the class probabilities
    softmax(W x + b). ``fit`` minimises their mean cross-entropy

    .. math::

        F(W, b) = \frac{1}{\sum_i s_i} \sum_i s_i
                  \left[ \log \sum_k e^{z_{ik}} - z_{i y_i} \right],
        \qquad z_i = r\, W x_i + b

    where :math:`s_i` are the sample weights and r is `rescale`. Weights start at
    zero. The model is also known as multinomial logistic regression, and as
    logistic regression with two classes.

    Parameters
    ----------
    batch_size : int, default=100
        Rows in one step of gradient descent. The last batch of an epoch may be
        smaller. A batch of at least ``n_samples`` gives full-batch descent.

    learning_rate : float, default=0.01
        Length of a step, in multiples of the gradient.

    epochs : int, default=10
        Passes over the data.

    optimizer : {"sgd"}, default="sgd"
        The update rule: ``"sgd"`` is plain gradient descent,
        W ← W − learning_rate · ∇.

    fit_intercept : bool, default=True
        Whether to fit b; otherwise it is zero.

    rescale : float, default=None
        A factor on every feature, applied inside the compiled program, so that
        X is not copied: ``rescale=1/255`` brings raw pixels to [0, 1]. `coef_`
        refers to the X passed, whatever `rescale` is. None is a factor of 1.

    shuffle : bool, default=True
        Whether each epoch takes the rows in a new random order, or as they stand.

    random_state : int, RandomState instance or None, default=None
        Where the order of rows comes from; nothing else is random. Pass an int
        for the same result, to the bit, in every call and every process.

    verbose : int, default=0
        With 1, print a line for each epoch; with 0, nothing.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.

    coef_ : ndarray of shape (n_classes, n_features) or (1, n_features)
        The weights, in the units of the X passed. With two classes there is one
        row, for ``classes_[1]``. float64 for float64 X, float32 for float32 and
        uint8 X.

    intercept_ : ndarray of shape (n_classes,) or (1,)
        The intercept b; zeros if ``fit_intercept=False``.

    n_features_in_ : int
        The number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X had names that are all strings.

    n_iter_ : int
        The number of epochs trained.

    loss_curve_ : list of float
        The training loss of each epoch.

    history_ : DataFrame
        A row for each epoch, see :attr:`history_`.

    See Also
    --------
    sklearn.linear_model.LogisticRegression : The same model, fitted by
        full-batch solvers.
    sklearn.linear_model.SGDClassifier : One-versus-rest linear models, by
        stochastic gradient descent.

    Notes
    -----
    A batch B of the n rows contributes the gradient
    :math:`\frac{n}{|B| \sum_i s_i} \sum_{i \in B} s_i \nabla_i`, whose expectation
    is the gradient of F. The rows of a batch are counted whatever their weight:
    weighting rows equals repeating them exactly where one batch holds all rows,
    and in expectation otherwise.

    Rows are cast and scaled a batch at a time, in float32 or, for float64 X (and
    for integers that float32 can't hold), in float64. uint8 X is never cast as a
    whole, neither in `fit` nor in `predict`. TensorFlow is imported by the first
    `fit`, never by predicting.

    References
    ----------
    C. M. Bishop, "Pattern Recognition and Machine Learning", Springer, 2006,
    section 4.3.4.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from tfsoftmax import TFSoftmaxClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = TFSoftmaxClassifier(rescale=1 / 16, learning_rate=0.5, random_state=0)
    >>> round(clf.fit(X, y).score(X, y), 2)
    0.97
    """

    def __init__(
        self,
        batch_size: int = 100,
        learning_rate: float = 0.01,
        epochs: int = 10,
        *,
        optimizer: str = "sgd",
        fit_intercept: bool = True,
        rescale: float | None = None,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.optimizer = optimizer
        self.fit_intercept = fit_intercept
        self.rescale = rescale
        self.shuffle = shuffle
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: ArrayLike | None = None,
    ) -> TFSoftmaxClassifier:
        """Fit the model to X and y, from zero weights.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training rows: real numbers of any dtype.
        y : array-like of shape (n_samples,)
            Their classes: ints, strings, bools or categories.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows; only their ratios matter. By default
            all are equal.
        X_val : array-like of shape (n_val_samples, n_features), default=None
            Held-out rows, on which loss and accuracy are measured after each
            epoch.
        y_val : array-like of shape (n_val_samples,), default=None
            Their classes.

        Returns
        -------
        self : TFSoftmaxClassifier
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If a parameter or an argument is not as described, or the loss does not
            stay finite. A fitted estimator then keeps its former state.
        ImportError
            If TensorFlow can't be imported.

        Warns
        -----
        ConvergenceWarning
            If the last epoch's loss is no better than an untrained model's.
        """
        with self._unchanged_on_error():
            check_parameters(self.get_params())
            rows = self._validate_rows(X, y, sample_weight)
            held_out = self._validate_held_out(X_val, y_val)
            self._random_state = check_random_state(self.random_state)
            self._store(self._train(rows, self.epochs, held_out=held_out))
            self._warn_if_useless(rows)
        return self

    def partial_fit(
        self,
        X: Any,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> TFSoftmaxClassifier:
        """Train for one epoch on X and y, going on from where the model stands.

        The update rule and the order of rows go on, too: ten calls on the same
        data give the very model that one `fit` of ten epochs gives.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,)
            Their classes, among `classes`.
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever occur. Required in the first call, and
            optional after it.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows; only their ratios within this call
            matter.

        Returns
        -------
        self : TFSoftmaxClassifier
            The estimator.

        Raises
        ------
        TypeError, ValueError
            As in `fit`, and if `y` has a class that is not among `classes`, or
            `classes` is missing from the first call or differs in a later one.
        ImportError
            If TensorFlow can't be imported.
        """
        with self._unchanged_on_error():
            check_parameters(self.get_params())
            former = getattr(self, "_record", None)
            known = self._classes_to_expect(classes, first_call=former is None)
            rows = self._validate_rows(X, y, sample_weight, classes=known)
            if former is None:
                self._random_state = check_random_state(self.random_state)
            self._store(self._train(rows, 1, former=former))
        return self

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Compute the logits ``X @ coef_.T + intercept_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        logits : ndarray of shape (n_samples, n_classes) or (n_samples,)
            With two classes, the logit of ``classes_[1]``, that of ``classes_[0]``
            being 0.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        _check_real(X)
        logits = _logits(X, self.coef_, self.intercept_)
        return logits[:, 0] if len(self.classes_) == 2 else logits

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Their classes.
        """
        highest = self._all_logits(X).argmax(axis=1)
        return self.classes_[highest]  # type: ignore[no-any-return]

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Compute the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            softmax of the logits, classes in the order of `classes_`.
        """
        return softmax(self._all_logits(X), axis=1)  # type: ignore[no-any-return]

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Compute the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            Finite also where the probability itself underflows to 0.
        """
        return log_softmax(self._all_logits(X), axis=1)  # type: ignore[no-any-return]

    @property
    def history_(self) -> pd.DataFrame:
        """The course of training as a DataFrame, one row an epoch.

        Its index, `epoch`, counts from 1. `loss` and `accuracy` are the weighted
        means over the epoch's batches, each measured before its update;
        `val_loss` and `val_accuracy`, where there was X_val, are measured after
        the epoch; `learning_rate` is the rate used, and `seconds` the time the
        epoch took, measurement included.
        """
        check_is_fitted(self)
        import pandas as pd

        columns = self._record.history
        index = pd.RangeIndex(1, self._record.n_epochs + 1, name="epoch")
        return pd.DataFrame(columns, index=index)

    def _validate_rows(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        *,
        classes: NDArray[Any] | None = None,
    ) -> Rows:
        """Validate training rows; without `classes`, learn the classes from y."""
        goes_on = classes is not None and hasattr(self, "_record")
        X, y = validate_data(self, X, y, reset=not goes_on)
        _check_real(X)
        try:
            check_classification_targets(y)
        except TypeError as error:
            raise TypeError(f"y must hold labels of one kind. {error}") from error
        self.classes_ = _distinct(y, "y") if classes is None else classes
        codes = _encode(y, self.classes_, "y")
        return Rows(X, codes, _validate_weights(sample_weight, X))

    def _classes_to_expect(
        self, classes: ArrayLike | None, *, first_call: bool
    ) -> NDArray[Any]:
        if first_call and classes is None:
            raise ValueError(
                "classes must be passed in the first call of partial_fit: all the "
                "classes that will ever occur."
            )
        if classes is None:
            return self.classes_
        distinct = _distinct(classes, "classes")
        if not first_call and not np.array_equal(distinct, self.classes_):
            raise ValueError(
                f"classes must be those of the first call, {self.classes_.tolist()}; "
                f"got {distinct.tolist()}."
            )
        return distinct

    def _validate_held_out(self, X_val: Any, y_val: Any) -> Rows | None:
        if X_val is None and y_val is None:
            return None
        if X_val is None or y_val is None:
            missing = "X_val" if X_val is None else "y_val"
            raise ValueError(f"X_val and y_val go together; got no {missing}.")
        X_val, y_val = validate_data(self, X_val, y_val, reset=False)
        _check_real(X_val)
        return Rows(X_val, _encode(y_val, self.classes_, "y_val"), weights=None)

    def _train(self, rows: Rows, epochs: int, **options: Any) -> Record:
        settings = Settings(
            batch_size=int(self.batch_size),
            learning_rate=float(self.learning_rate),
            epochs=int(epochs),
            optimizer=self.optimizer,
            fit_intercept=bool(self.fit_intercept),
            rescale=1.0 if self.rescale is None else float(self.rescale),
            shuffle=bool(self.shuffle),
        )
        return train(
            rows,
            len(self.classes_),
            settings,
            self._random_state,
            report=self._print_epoch if self.verbose else None,
            **options,
        )

    def _store(self, record: Record) -> None:
        """Set the fitted attributes; coef_ is in the units of the X passed."""
        self._record = record
        V = record.V[0]
        self.coef_ = V[:, : self.n_features_in_] * V.dtype.type(record.settings.rescale)
        self.intercept_ = (
            V[:, -1].copy() if self.fit_intercept else np.zeros(len(V), V.dtype)
        )
        self.n_iter_ = record.n_epochs
        self.loss_curve_ = record.history["loss"]

    def _print_epoch(self, epoch: int, entry: Entry) -> None:
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        values = "  ".join(f"{n} {entry[n]:.4f}" for n in names if n in entry)
        print(f"Epoch {epoch:{len(str(self.epochs))}}/{self.epochs}  {values}")

    def _warn_if_useless(self, rows: Rows) -> None:
        untrained = math.log(len(self.classes_))
        # An epoch of a single step has no loss after an update to go by.
        if len(rows) <= self.batch_size and self.n_iter_ == 1:
            return
        if self.loss_curve_[-1] >= untrained * (1 - 1e-6):
            warnings.warn(
                f"The last epoch's loss, {self.loss_curve_[-1]:.4g}, is no better than "
                f"an untrained model's, {untrained:.4g}: the learning rate "
                f"({self.learning_rate}) and the scale of the features don't fit. "
                "Scale the features (rescale=1/255 for raw pixels, or a "
                "StandardScaler) or change learning_rate.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _all_logits(self, X: Any) -> NDArray[Any]:
        """Compute the logits, of shape (n_samples, n_classes) also for two classes."""
        logits = self.decision_function(X)
        if logits.ndim == 1:
            logits = np.column_stack([np.zeros_like(logits), logits])
        return logits

    @contextlib.contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        former = self.__dict__.copy()
        generator = former.get("_random_state")
        generator_state = generator and generator.get_state()
        try:
            yield
        except BaseException:
            self.__dict__ = former
            if generator is not None:
                generator.set_state(generator_state)
            raise


def _check_real(X: NDArray[Any]) -> None:
    if X.dtype.kind not in "biuf":
        raise ValueError(f"X must hold real numbers; got dtype {X.dtype}.")


def _distinct(labels: ArrayLike, name: str) -> NDArray[Any]:
    """Sort out the classes among labels; at least two."""
    classes = LabelEncoder().fit(labels).classes_
    if len(classes) < 2:
        raise ValueError(
            f"TFSoftmaxClassifier needs at least two classes; {name} has only one "
            f"class: {classes.tolist()[0]!r}."
        )
    return classes  # type: ignore[no-any-return]


def _encode(y: NDArray[Any], classes: NDArray[Any], name: str) -> NDArray[np.int32]:
    """Give each label the number of its class."""
    try:
        codes = np.searchsorted(classes, y).clip(max=len(classes) - 1)
        unseen = y[classes[codes] != y]
    except TypeError:  # labels that don't compare with the classes
        unseen = y
    if len(unseen):
        labels = reprlib.repr(list(dict.fromkeys(unseen.tolist())))
        known = reprlib.repr(classes.tolist())
        raise ValueError(
            f"{name} has labels that are not among the classes {known}: {labels}."
        )
    return codes.astype(np.int32)


def _validate_weights(
    sample_weight: ArrayLike | None, X: NDArray[Any]
) -> NDArray[np.float64] | None:
    """Validate weights and bring their mean to 1."""
    if sample_weight is None:
        return None
    weights = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weights.shape != (len(X),):
        raise ValueError(
            f"sample_weight must have a weight for each of the {len(X)} rows of X, "
            f"shape ({len(X)},); got shape {weights.shape}."
        )
    if (weights < 0).any():
        raise ValueError(
            f"sample_weight must not be negative; the smallest is {weights.min()}."
        )
    largest = weights.max()
    if largest == 0:
        raise ValueError("sample_weight must not be zero for all rows.")
    weights = weights / largest  # so that huge weights don't overflow in the sum
    return weights * (len(X) / weights.sum())  # type: ignore[no-any-return]


def _logits(
    X: NDArray[Any], coef: NDArray[Any], intercept: NDArray[Any]
) -> NDArray[Any]:
    """Compute X @ coef.T + intercept, casting X, where it has to be, by blocks."""
    dtype = np.result_type(coef, X) if X.dtype.kind == "f" else coef.dtype
    logits = np.empty((len(X), len(coef)), dtype)
    rows_at_once = len(X) if X.dtype == dtype else _ROWS_PER_BLOCK
    for start in range(0, len(X), rows_at_once):
        rows = slice(start, start + rows_at_once)
        np.matmul(X[rows].astype(dtype, copy=False), coef.T, out=logits[rows])
    logits += intercept
    return logits
