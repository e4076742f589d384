"""The estimator: what a user calls."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import reprlib
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._optional_dependencies import check_pandas_support
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from tfsoftmax import lbfgs, training
from tfsoftmax.callbacks import CallbackSupportMixin, FitTask, with_callbacks
from tfsoftmax.chunks import Rows
from tfsoftmax.documentation import DocumentationLinkMixin
from tfsoftmax.inputs import (
    check_classes,
    check_labels,
    check_rows,
    classes_of,
    encode,
    is_soft,
    row_weights,
    same_classes,
)
from tfsoftmax.parameters import RULES, check_parameters
from tfsoftmax.prediction import SoftmaxPredictor
from tfsoftmax.splitting import hold_out
from tfsoftmax.training import Entry, Record, Settings
from tfsoftmax.travel import TravellerMixin
from tfsoftmax.warn import warn

if TYPE_CHECKING:
    import pandas as pd

Method = TypeVar("Method", bound=Callable[..., Any])


def _unchanged_on_error(method: Method) -> Method:
    """Have a method that fails leave the estimator as it was."""

    @functools.wraps(method)
    def guarded(self: TFSoftmaxClassifier, *args: Any, **kwargs: Any) -> Any:
        former = self.__dict__.copy()
        generator = former.get("_random_state")
        generator_state = generator and generator.get_state()
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            self.__dict__ = former
            if generator is not None:
                generator.set_state(generator_state)
            raise

    return guarded  # type: ignore[return-value]


def _trains_by_epochs(self: TFSoftmaxClassifier) -> bool:
    if isinstance(self.optimizer, str) and self.optimizer == "lbfgs":
        raise AttributeError(
            "partial_fit trains for an epoch, and optimizer='lbfgs' has none."
        )
    return True


class TFSoftmaxClassifier(
    CallbackSupportMixin,  # type: ignore[misc]
    SoftmaxPredictor,
    DocumentationLinkMixin,
    TravellerMixin,
    BaseEstimator,  # type: ignore[misc]
):
    r"""Softmax regression, trained by gradient descent in TensorFlow.

    With weights W and intercept b, a row x has the class probabilities
    softmax(W x + b). ``fit`` minimises their mean cross-entropy and a penalty,

    .. math::

        F(W, b) = \frac{1}{\sum_i s_i} \sum_i s_i \left[
                  \log \sum_k e^{z_{ik}} - z_{i y_i} \right]
                  + \alpha \left[ \frac{1 - \rho}{2} \|W\|_2^2 + \rho \|W\|_1 \right],
        \qquad z_i = r\, W x_i + b

    where :math:`s_i` are sample weights times class weights, r is `rescale` and ρ is
    `l1_ratio`. Weights start at zero. The model is also known as multinomial logistic
    regression, and as logistic regression with two classes.

    Parameters
    ----------
    batch_size : int, default=100
        Rows in one step of gradient descent. The last batch of an epoch may be
        smaller. A batch of at least ``n_samples`` gives full-batch descent.

    learning_rate : float, default=0.01
        Length of a step, in multiples of what the optimizer makes of the gradient.

    epochs : int, default=10
        Passes over the data. For ``optimizer="lbfgs"`` the most iterations.

    optimizer : {"sgd", "momentum", "nesterov", "adam", "lbfgs"}, default="sgd"
        The update rule. ``"sgd"`` is plain gradient descent; ``"momentum"`` and
        ``"nesterov"`` go on in the direction of former steps; ``"adam"`` takes steps
        in units of the gradient's running size, with β₁ = 0.9 and β₂ = 0.999.
        ``"lbfgs"`` is for the optimum: SciPy's L-BFGS on all rows at once, until the
        gradient's largest component is at most `tol`; it has no batches, no learning
        rate and nothing random.

    momentum : float, default=0.9
        What is kept of the last step, in [0, 1), by ``"momentum"`` and
        ``"nesterov"``.

    learning_rate_schedule : str, default="constant"
        The learning rate of each epoch. ``"constant"`` is `learning_rate` throughout.
        ``"cosine"`` falls along half a cosine from `learning_rate` to almost 0 in
        `epochs` epochs. ``"invscaling"`` divides by ``(t + 1) ** power_t``, where t
        counts the rows trained on. ``"adaptive"`` divides by 5 whenever progress has
        stalled; once it would fall to 1e-6, training stops.

    power_t : float, default=0.5
        The exponent of ``"invscaling"``.

    alpha : float, default=0.0
        Strength α of the penalty. ``alpha=1 / (C * s.sum())``, or ``1 / (C *
        n_samples)`` without weights, has the same optimum as scikit-learn's
        ``LogisticRegression(C=C)``. The intercept is not penalised, and W are the
        weights of the rescaled features.

    l1_ratio : float, default=0.0
        Share ρ of the L1 penalty, in [0, 1]. With it, weights become exact zeros;
        ``"lbfgs"`` can't minimise it.

    fit_intercept : bool, default=True
        Whether to fit b; otherwise it is zero.

    rescale : float, default=None
        A factor on every feature, applied inside the compiled program, so that
        X is not copied: ``rescale=1/255`` brings raw pixels to [0, 1]. `coef_`
        refers to the X passed, whatever `rescale` is. None is a factor of 1.

    class_weight : dict or "balanced", default=None
        Weights by class, which multiply the sample weights; a class not in the dict
        has 1. ``"balanced"`` gives each class the same total weight, with
        ``n_samples / (n_classes * np.bincount(y))``.

    shuffle : bool, default=True
        Whether each epoch takes the rows in a new random order, or as they stand.

    random_state : int, RandomState instance or None, default=None
        The seed, or what gives a seed, of the generator from which the order of
        rows comes and, with `early_stopping`, what is held out; nothing else is
        random. Pass an int for the same result, to the bit, in every call and every
        process.

    early_stopping : bool, default=False
        Whether to watch the accuracy on held-out rows, stop when it has stalled, and
        keep the weights of the best epoch. The rows are `X_val` where `fit` is given
        them, and else a fraction of the training rows.

    validation_fraction : float, default=0.1
        What `early_stopping` holds out of each class. Equal rows stay together, so
        that no held-out row was trained on.

    tol : float, default=None
        Progress has stalled when the training loss (with `early_stopping`, the
        held-out accuracy) has not improved by `tol` for more than `n_iter_no_change`
        epochs in a row; training then stops. None never stops, but stands for 1e-4
        where `early_stopping` or ``"adaptive"`` need a value. For ``"lbfgs"``, the
        gradient's largest component at which to stop; None stands for 1e-9.

    n_iter_no_change : int, default=10
        Epochs in a row without an improvement by `tol` before training stops.

    warm_start : bool, default=False
        Whether `fit` goes on from the former fit, with the optimizer's memory, the
        count of steps and the order of rows, for another `epochs` epochs. A cosine
        schedule starts over.

    verbose : int, default=0
        With 1, print a line for each epoch; with 0, nothing.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted. With soft labels, 0 to n_classes − 1, or the columns'
        names of a DataFrame, in their order.

    coef_ : ndarray of shape (n_classes, n_features) or (1, n_features)
        The weights, in the units of the X passed. With two classes there is one
        row, for ``classes_[1]``. float64 for float64 X, float32 for float32 and
        uint8 X.

    intercept_ : ndarray of shape (n_classes,) or (1,)
        The intercept b; zeros if ``fit_intercept=False``.

    n_features_in_ : int
        The number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X had names that are all strings.

    n_iter_ : int
        The number of epochs trained, those before a warm start included.

    loss_curve_ : list of float
        The mean cross-entropy in each epoch, without the penalty.

    history_ : DataFrame
        A row for each epoch, with its `loss`, `accuracy`, `learning_rate` and
        `seconds` and, where rows were held out, `val_loss` and `val_accuracy`.

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
    whole, neither in `fit` nor in `predict`, and sparse X never made dense as a
    whole. TensorFlow is imported by the first `fit`, never by predicting.

    References
    ----------
    C. M. Bishop, "Pattern Recognition and Machine Learning", Springer, 2006,
    section 4.3.4.

    N. Parikh and S. Boyd, "Proximal Algorithms", Foundations and Trends in
    Optimization 1(3), 2014, for the steps of the L1 penalty.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from tfsoftmax import TFSoftmaxClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = TFSoftmaxClassifier(rescale=1 / 16, learning_rate=0.5, random_state=0)
    >>> round(clf.fit(X, y).score(X, y), 2)
    0.95
    """

    def __init__(
        self,
        batch_size: int = 100,
        learning_rate: float = 0.01,
        epochs: int = 10,
        *,
        optimizer: str = "sgd",
        momentum: float = 0.9,
        learning_rate_schedule: str = "constant",
        power_t: float = 0.5,
        alpha: float = 0.0,
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        rescale: float | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        tol: float | None = None,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.optimizer = optimizer
        self.momentum = momentum
        self.learning_rate_schedule = learning_rate_schedule
        self.power_t = power_t
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.rescale = rescale
        self.class_weight = class_weight
        self.shuffle = shuffle
        self.random_state = random_state
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.verbose = verbose

    @_unchanged_on_error
    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> TFSoftmaxClassifier:
        """Fit the model to X and y: from zero weights, unless `warm_start` is True.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training rows: real numbers of any dtype.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Their classes: ints, strings, bools or categories. Or soft labels: the
            probability of each class, one-hot rows among them.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows; only their ratios matter. By default
            all are equal.
        X_val : {array-like, sparse matrix} of shape (n_val_samples, n_features), \
                default=None
            Held-out rows, on which loss and accuracy are measured after each
            epoch.
        y_val : array-like of shape (n_val_samples,) or (n_val_samples, n_classes), \
                default=None
            Their classes.
        sample_weight_val : array-like of shape (n_val_samples,), default=None
            Their weights.

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
        RuntimeError
            In a fork of a process that has trained, where TensorFlow would hang, and
            in TensorFlow's graph mode.

        Warns
        -----
        ConvergenceWarning
            If the last epoch's loss is no better than an untrained model's, or `tol`
            was asked for and not met in `epochs` epochs.
        UserWarning
            If training was interrupted (Ctrl-C): the finished epochs are kept.
        """
        self._check_parameters()
        former = getattr(self, "_record", None) if self.warm_start else None
        rows = self._validate_rows(X, y, sample_weight, former=former)
        held_out = self._validate_held_out(X_val, y_val, sample_weight_val)
        if former is None:
            draws = self.optimizer != "lbfgs"  # which leaves the user's generator alone
            self._random_state = own_generator(self.random_state if draws else 0)
        if self.early_stopping and held_out is None:
            rows, held_out = self._hold_out(rows, sample_weight, former)
        n_epochs = int(self.epochs) + (former.n_epochs if former else 0)
        watch = EstimatorWatch(
            self, n_epochs, FitTask(self, self.epochs, X, y, sample_weight)
        )
        train = lbfgs.train if self.optimizer == "lbfgs" else training.train
        record = train(
            rows,
            len(self.classes_),
            self._settings(),
            self._random_state,
            watch=watch,
            former=former and former.with_new_schedule(),
            held_out=held_out,
        )
        self._conclude(record, watch, len(rows))
        return self

    @available_if(_trains_by_epochs)  # type: ignore[untyped-decorator]
    @_unchanged_on_error
    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> TFSoftmaxClassifier:
        """Train for one epoch on X and y, going on from where the model stands.

        The optimizer's memory, the schedule and the order of rows go on, too: ten
        calls on the same data give the very model that one `fit` of ten epochs gives.
        `early_stopping` has no effect on a single epoch, and
        ``class_weight="balanced"`` balances the rows of this call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Their classes, among `classes`, or soft labels.
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever occur. Required in the first call, unless y
            has soft labels, and optional after it. Where y has soft labels in columns
            without names, they must be sorted, as the columns are.
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
        RuntimeError
            In a fork of a process that has trained, where TensorFlow would hang, and
            in TensorFlow's graph mode.
        """
        self._check_parameters()
        former = getattr(self, "_record", None)
        expected = self._classes_to_expect(classes, y, former)
        rows = self._validate_rows(X, y, sample_weight, former=former, classes=expected)
        if former is None:
            self._random_state = own_generator(self.random_state)
        self._store(
            training.train(
                rows,
                len(self.classes_),
                self._settings(early_stopping=False),
                self._random_state,
                watch=EstimatorWatch(self, self.epochs),
                former=former,
                n_epochs=1,
            )
        )
        return self

    @property
    def history_(self) -> pd.DataFrame:
        """The course of training as a DataFrame, one row an epoch.

        Its index, `epoch`, counts from 1. `loss` and `accuracy` are the weighted
        means over the epoch's batches, each measured before its update; the loss is
        the cross-entropy, without the penalty. `val_loss` and `val_accuracy`, where
        rows are held out, are measured after the epoch; `learning_rate`, but for
        ``"lbfgs"``, is the rate used, and `seconds` the time the epoch took,
        measurement included.

        Raises
        ------
        NotFittedError
            Before `fit`.
        AttributeError
            If pandas can't be imported.
        """
        check_is_fitted(self)
        try:
            pd = check_pandas_support("history_, a DataFrame,")
        except ImportError as error:
            raise AttributeError(str(error)) from error  # for hasattr, and HTML views
        columns = self._record.history
        index = pd.RangeIndex(1, self._record.n_epochs + 1, name="epoch")
        return pd.DataFrame(columns, index=index)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _get_fitted_attr_html(self, doc_link: str = "") -> Any:
        """Have scikit-learn's HTML view show the history as it shows arrays."""
        shown = super()._get_fitted_attr_html(doc_link)
        if history := shown.get("history_"):
            table = self.history_
            values = table.to_numpy()
            history |= {"shape": table.shape, "dtype": values.dtype, "value": values}
        return shown

    def _check_parameters(self) -> None:
        # Of a subclass, get_params may not name all of them.
        check_parameters({name: getattr(self, name) for name in RULES})

    def _validate_rows(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        *,
        former: Record | None,
        classes: NDArray[Any] | None = None,
    ) -> Rows:
        """Validate training rows; without `classes`, learn the classes from y."""
        X = check_rows(self, X, reset=former is None)
        y = check_labels(y, X.shape[0])
        own = classes_of(y) if classes is None else classes
        if former is None:
            self.classes_ = own
        elif not same_classes(own, self.classes_, y):
            name = "y" if classes is None else "classes"
            raise ValueError(
                f"{name} has other classes than the fit that this one goes on from: "
                f"they were {reprlib.repr(self.classes_.tolist())} and are now "
                f"{reprlib.repr(own.tolist())}."
            )
        codes = encode(y, self.classes_)
        weights = row_weights(
            sample_weight,
            X.shape[0],
            class_weight=self.class_weight,
            y=codes,
            classes=self.classes_,
        )
        return Rows(X, codes, weights)

    def _validate_held_out(
        self, X_val: Any, y_val: Any, sample_weight_val: ArrayLike | None
    ) -> Rows | None:
        if X_val is None and y_val is None and sample_weight_val is None:
            return None
        if X_val is None or y_val is None:
            missing = "X_val" if X_val is None else "y_val"
            raise ValueError(f"X_val and y_val go together; got no {missing}.")
        X_val = check_rows(self, X_val, "X_val", reset=False)
        y_val = check_labels(y_val, X_val.shape[0], "y_val", "X_val")
        codes = encode(y_val, self.classes_, "y_val")
        weights = row_weights(
            sample_weight_val, X_val.shape[0], name="sample_weight_val"
        )
        return Rows(X_val, codes, weights)

    def _hold_out(
        self, rows: Rows, sample_weight: ArrayLike | None, former: Record | None
    ) -> tuple[Rows, Rows]:
        """Hold out rows for early stopping; the same ones in a fit that goes on.

        They are weighted as X_val is, by sample weights and not by class weights.
        """
        if former is None or not hasattr(self, "_hold_out_seed"):
            self._hold_out_seed = self._random_state.randint(2**31)
        key = np.random.RandomState(self._hold_out_seed)
        plain = dataclasses.replace(rows, weights=row_weights(sample_weight, len(rows)))
        kept, held_out = hold_out(plain, float(self.validation_fraction), key)
        assert kept.index is not None
        return rows.take(kept.index), held_out

    def _classes_to_expect(
        self, classes: ArrayLike | None, y: Any, former: Record | None
    ) -> NDArray[Any]:
        if classes is not None:
            known = None if former is None else self.classes_
            return check_classes(classes, y, known)
        if former is not None:
            return self.classes_
        if is_soft(y):
            return classes_of(y)
        raise ValueError(
            "classes must be passed in the first call of partial_fit: all the classes "
            "that will ever occur."
        )

    def _settings(self, **changes: Any) -> Settings:
        """Gather the settings, as plain Python numbers, which don't overflow."""
        casts = {"int": int, "float": float, "bool": bool, "str": str}
        own: dict[str, Any] = {
            field.name: casts[str(field.type)](getattr(self, field.name))
            for field in dataclasses.fields(Settings)
            if field.name not in ("rescale", "tol")
        }
        own["rescale"] = 1.0 if self.rescale is None else float(self.rescale)
        own["tol"] = None if self.tol is None else float(self.tol)
        return Settings(**own | changes)

    def _conclude(self, record: Record, watch: EstimatorWatch, n_rows: int) -> None:
        """Store what training has left behind, and tell of its end."""
        self._store(record)
        watch.end(record)
        self._warn_of_poor_ends(record, n_rows)

    def _store(self, record: Record) -> None:
        self.__dict__ |= self._fitted_attributes(record)

    def _fitted_attributes(self, record: Record) -> dict[str, Any]:
        """Derive the fitted attributes; coef_ is in the units of the X passed."""
        V, settings = record.V[0], record.settings
        without = np.zeros(len(V), V.dtype)
        with np.errstate(over="ignore"):
            coef = V[:, : self.n_features_in_] * V.dtype.type(settings.rescale)
        if not np.isfinite(coef).all():
            raise ValueError(
                f"rescale={settings.rescale:.6g} makes coef_ too large for {V.dtype}: "
                "X is too small. Scale its features before the fit."
            )
        return {
            "_record": record,
            "coef_": coef,
            "intercept_": V[:, -1].copy() if settings.fit_intercept else without,
            "n_iter_": record.n_epochs,
            "loss_curve_": list(record.history["loss"]),
        }

    def _snapshot(self, record: Record) -> dict[str, Any]:
        """Derive the fitted attributes of an estimator of its own."""
        own = {"_random_state": copy.deepcopy(self._random_state)}
        return self._fitted_attributes(record) | own

    def _warn_of_poor_ends(self, record: Record, n_rows: int) -> None:
        untrained, last = math.log(len(self.classes_)), self.loss_curve_[-1]
        wants_convergence = self.tol is not None or self.optimizer == "lbfgs"
        # An epoch of a single step has no loss after an update to go by.
        one_step = n_rows <= self.batch_size and self.n_iter_ == 1
        if last >= untrained * (1 - 1e-6) and not one_step:
            if self.optimizer == "lbfgs":
                cause, cure = "alpha or tol is too large", "lower them"
            else:
                cause = (
                    f"the learning rate ({self.learning_rate}) and the scale of the "
                    "features don't fit, or alpha is too large"
                )
                cure = "change learning_rate"
            warn(
                f"The last epoch's loss, {last:.4g}, is no better than an untrained "
                f"model's, {untrained:.4g}: {cause}. Scale the features (rescale=1/255 "
                f"for raw pixels, or a StandardScaler) or {cure}.",
                ConvergenceWarning,
            )
        elif record.ended == "epochs" and wants_convergence:
            goal = "the optimum" if self.tol is None else f"tol={self.tol}"
            warn(
                f"Training has not converged to {goal} in {self.epochs} epochs. Raise "
                "epochs, or scale the features.",
                ConvergenceWarning,
            )


def own_generator(random_state: Any) -> np.random.RandomState:
    """Make a generator of one's own, to go on with and to take back.

    An int is its seed; a RandomState, or NumPy's global one for None, gives the seed.
    """
    if isinstance(random_state, Integral):
        return np.random.RandomState(int(random_state))
    seed = check_random_state(random_state).randint(0, 2**32, 4, dtype=np.int64)
    return np.random.RandomState(seed)


class EstimatorWatch:
    """Prints the epochs of a fit, and tells the callbacks of them."""

    def __init__(
        self, clf: TFSoftmaxClassifier, n_epochs: int, task: FitTask | None = None
    ) -> None:
        self._clf, self._n_epochs, self._task = clf, n_epochs, task

    def before_epoch(self) -> None:
        """Tell the callbacks that an epoch begins."""
        if self._task:
            self._task.begin_epoch()

    def after_epoch(
        self, epoch: int, entry: Entry, record: Callable[[], Record]
    ) -> bool:
        """Print the epoch, and tell the callbacks; True if one asks to stop."""
        if self._clf.verbose:
            self._print(epoch, entry)
        if not self._task:
            return False
        return self._task.end_epoch(lambda: self._clf._snapshot(record()))

    def end(self, record: Record) -> None:
        """Tell the callbacks that the fit has ended."""
        if self._task:
            try:
                self._task.end(lambda: self._clf._snapshot(record))
            except KeyboardInterrupt:
                training.warn_of_interruption(record.n_epochs + 1)

    def _print(self, epoch: int, entry: Entry) -> None:
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        values = "  ".join(f"{n} {entry[n]:.4f}" for n in names if n in entry)
        of = f"/{self._n_epochs}" if epoch <= self._n_epochs else ""
        print(f"Epoch {epoch:{len(str(self._n_epochs))}}{of}  {values}")
