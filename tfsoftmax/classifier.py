"""TFSoftmaxClassifier: its parameters, `fit`, `partial_fit` and fitted attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from tfsoftmax.callbacks import (
    CallbackSupportMixin,
    EpochLogger,
    FitTask,
    with_callbacks,
)
from tfsoftmax.export import ExportMixin
from tfsoftmax.fitting import classes_to_expect, prepare
from tfsoftmax.prediction import SoftmaxPredictor
from tfsoftmax.solvers import SOLVERS
from tfsoftmax.storing import fitted_attributes, store
from tfsoftmax.utils.rollback import restores_state_on_error
from tfsoftmax.utils.sklearn_compat import (
    DocumentationLinkMixin,
    check_pandas_support,
)
from tfsoftmax.validation.parameters import (
    RULES,
    Array,
    check_parameters,
    check_partial_fit,
)

if TYPE_CHECKING:
    import pandas as pd

Method = TypeVar("Method", bound=Callable[..., Any])


def _trains_by_epochs(self: TFSoftmaxClassifier) -> bool:
    solver = SOLVERS.get(self.optimizer) if isinstance(self.optimizer, str) else None
    if solver is not None and not solver.by_epochs:
        raise AttributeError(
            f"partial_fit trains for one epoch, but optimizer={self.optimizer!r} has "
            "no epochs. Use another optimizer."
        )
    return True


def _where_there_are_epochs(method: Method) -> Method:
    """Make a method available only for optimizers that train by epochs."""
    return available_if(_trains_by_epochs)(method)  # type: ignore[no-any-return]


class TFSoftmaxClassifier(
    CallbackSupportMixin,  # type: ignore[misc]
    SoftmaxPredictor,
    DocumentationLinkMixin,
    ExportMixin,
    BaseEstimator,  # type: ignore[misc]
):
    r"""Softmax regression, trained with TensorFlow.

    With weights W and intercept b, the class probabilities of a row x are softmax(W x +
    b). ``fit`` minimises the mean cross-entropy plus a penalty,

    .. math::

        F(W, b) = \frac{1}{\sum_i s_i} \sum_i s_i \left[
                  \log \sum_k e^{z_{ik}} - z_{i y_i} \right]
                  + \alpha \left[ \frac{1 - \rho}{2} \|W\|_2^2 + \rho \|W\|_1 \right],
        \qquad z_i = W \tilde x_i + b

    where :math:`s_i` is the sample weight times the class weight, ρ is `l1_ratio` and
    :math:`\tilde x_i` is :math:`x_i` scaled by `rescale`. Weights start at zero. The
    model is also known as multinomial logistic regression or, with two classes,
    logistic regression.

    Parameters
    ----------
    batch_size : int, default=100
        Number of rows per gradient step. The last batch of an epoch may be smaller. A
        batch of at least ``n_samples`` gives full-batch descent.

    learning_rate : float or "auto", default="auto"
        Step size. For ``"adam"``, ``"auto"`` is 0.15 / r, but at most 0.05, where r² is
        the mean of ‖x̃‖²; in `partial_fit` it is 0.01. For ``"sgd"``, ``"momentum"``
        and ``"nesterov"`` it is (1 − μ) / 𝓛, where μ is the momentum and 𝓛 the
        smoothness of the loss of a batch (see Notes).

    epochs : int or "auto", default="auto"
        Number of passes over the data. ``"auto"`` is 10, or more if 1,000 steps take
        more. For ``optimizer="lbfgs"`` it is the maximum number of iterations, and
        ``"auto"`` is 10,000; `tol` is usually met long before that. `partial_fit`
        always trains for one epoch and uses `epochs` only as the length of a cosine
        schedule.

    optimizer : {"sgd", "momentum", "nesterov", "adam", "lbfgs"}, default="adam"
        The update rule. ``"sgd"`` is plain gradient descent; ``"momentum"`` and
        ``"nesterov"`` add a fraction of the previous step; ``"adam"`` divides the step
        by a running average of the gradient's magnitude, with β₁ = 0.9 and β₂ = 0.999.
        ``"lbfgs"`` runs preconditioned L-BFGS on all rows at once until `tol` is met.
        It is deterministic, needs no scaled features and uses neither batches nor a
        learning rate. If it ends for any other reason, it issues a ConvergenceWarning.

    momentum : float, default=0.9
        Momentum coefficient of ``"momentum"`` and ``"nesterov"``, in [0, 1).

    learning_rate_schedule : str, default="auto"
        How the learning rate changes from epoch to epoch. ``"constant"`` keeps it at
        `learning_rate`. ``"cosine"`` decreases it along half a cosine, from
        `learning_rate` to almost 0 in `epochs` epochs. ``"invscaling"`` divides it by
        ``(t + 1) ** power_t``, where t is the number of rows processed so far.
        ``"adaptive"`` divides it by 5 whenever progress stalls; training stops when
        progress stalls at a rate of at most 1e-6. ``"auto"`` is ``"cosine"`` if the
        optimizer is ``"adam"`` and `learning_rate` is ``"auto"``, except in
        `partial_fit`; otherwise it is ``"constant"``.

    power_t : float, default=0.5
        Exponent of ``"invscaling"``.

    alpha : float or "auto", default="auto"
        Strength α of the penalty. ``alpha=1 / (C * s.sum())``, or ``1 / (C *
        n_samples)`` without weights, has the same optimum as scikit-learn's
        ``LogisticRegression(C=C)``. ``"auto"`` corresponds to ``C=1``; in `partial_fit`
        it is 0. The weights of the rescaled features are penalised, the intercept is
        not.

    l1_ratio : float, default=0.0
        Fraction ρ of the L1 penalty, in [0, 1]. An L1 penalty makes some weights
        exactly zero, with mini-batches too. ``"lbfgs"`` requires ``l1_ratio=0``.

    fit_intercept : bool, default=True
        Whether to fit the intercept b. If False, b is zero.

    rescale : float, array-like, "standard", "auto" or None, default="auto"
        How to scale the features. Scaling is part of the compiled program: X is not
        copied, cast or made dense. A number multiplies every feature: ``rescale=1/255``
        maps raw pixels to [0, 1]; an array of shape (n_features,) holds a factor for
        each feature. ``"standard"`` subtracts each feature's mean and divides by its
        standard deviation, like scikit-learn's ``StandardScaler``, but also for sparse
        X. Both are computed from the training rows, weighted by `sample_weight`, in the
        first call of `fit` or `partial_fit`; calls that continue training keep them.
        None leaves the features unscaled. ``"auto"`` is 1 over the largest value for
        uint8 X; for other dense X with values outside [−1, 1], it is ``"standard"`` or,
        without an intercept, 1 over each feature's root mean square; for all other X,
        and for ``"lbfgs"``, it is None. `coef_` and `intercept_` always refer to X as
        passed.

    class_weight : dict or "balanced", default=None
        Class weights, which multiply the sample weights. A class missing from the dict
        has weight 1. ``"balanced"`` makes the total weights of all classes equal, using
        ``n_samples / (n_classes * np.bincount(y))``; it is not allowed in
        `partial_fit`, which does not see all rows.

    shuffle : bool, default=True
        Whether to shuffle the rows before each epoch.

    random_state : int, RandomState instance or None, default=None
        Controls the order of the rows and, with `early_stopping`, the choice of
        held-out rows; nothing else is random. Pass an int for bit-identical results
        across calls and processes.

    early_stopping : bool, default=False
        Whether to stop training when the model no longer improves on held-out rows, and
        keep the weights of the best epoch. The held-out rows are `X_val` if passed to
        `fit`, otherwise a fraction of the training rows.

    validation_fraction : float, default=0.1
        Fraction of each class that `early_stopping` holds out. Identical rows stay
        together, so that no held-out row is also a training row.

    scoring : {"loss", "accuracy"}, default="loss"
        Metric that `early_stopping` computes on the held-out rows: the mean
        cross-entropy or the accuracy. On few rows, the accuracy is often the same in
        many epochs; the first of them then counts as the best.

    tol : float, default=None
        Progress has stalled when the training loss (with `early_stopping`, the metric
        named by `scoring`) has not improved by `tol` for more than `n_iter_no_change`
        consecutive epochs; training then stops. None disables this check, except with
        `early_stopping` or ``"adaptive"``, where it means 1e-4. ``"lbfgs"`` stops when
        λ ≤ tol·√F, where the Newton decrement λ is the length of the gradient in the
        metric of the curvature, which does not depend on the units of the features; F
        then exceeds its minimum by about tol²/2 of its value. None means the smallest
        value that rounding allows: 1e-9 for float64 X, 1e-5 for X that is computed in
        float32.

    n_iter_no_change : int, default=10
        Maximum number of consecutive epochs without an improvement by `tol`.

    warm_start : bool, default=False
        Whether `fit` continues the previous fit, with its optimizer state and its order
        of rows, for another `epochs` epochs. A cosine schedule starts over.

    verbose : int, default=0
        If positive, print one line per epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted. With soft labels, 0 to n_classes − 1, or the column names
        of a DataFrame, in column order.

    coef_ : ndarray of shape (n_classes, n_features) or (1, n_features)
        The weights, in the units of the X passed. With two classes there is one row,
        for ``classes_[1]``. Its dtype is that of the computation: float64 for float64
        X, float32 for float32 and uint8 X.

    intercept_ : ndarray of shape (n_classes,) or (1,)
        The intercept, for the X passed. With ``fit_intercept=False`` it is zero, except
        with ``rescale="standard"``, where it includes the subtracted means.

    mean_ : ndarray of shape (n_features,) or None
        Means subtracted from the features with ``rescale="standard"``, else None. The
        penalty and the optimizer use ``(X - mean_) / scale_``.

    scale_ : float or ndarray of shape (n_features,)
        Divisors of the features: their standard deviations (1 for constant features)
        with ``rescale="standard"``, else 1 over `rescale`.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features seen during `fit`. Defined only if X has feature names
        that are all strings.

    learning_rate_ : float
        `learning_rate` used in the last call: the value passed, or the value chosen for
        ``"auto"``. Not defined after a fit with ``"lbfgs"``.

    learning_rate_schedule_ : str
        `learning_rate_schedule` used in the last call. Not defined after a fit with
        ``"lbfgs"``.

    epochs_ : int
        `epochs` used in the last call; training may have stopped earlier.

    alpha_ : float
        `alpha` used in the last call.

    rescale_ : float, ndarray of shape (n_features,), "standard" or None
        `rescale` used in the last call.

    n_iter_ : int
        Number of epochs in the last `fit`, or of iterations with ``"lbfgs"``; 1 after
        `partial_fit`.

    loss_curve_ : list of float
        Mean cross-entropy of each epoch in `history_`, without the penalty.

    dual_gap_ : float
        Upper bound on the difference between F and its minimum on the training rows,
        after a fit with ``"lbfgs"``; infinite with ``alpha=0``. :func:`dual_gap`
        computes it for any fitted classifier.

    history_ : DataFrame
        One row per epoch, including those before a warm start, with the columns `loss`,
        `accuracy`, `learning_rate` and `seconds`; `val_loss` and `val_accuracy` if rows
        were held out; and with `early_stopping`, `kept`, which is True for the epoch
        whose weights were kept. `partial_fit` keeps the last 1,000 rows.

    See Also
    --------
    sklearn.linear_model.LogisticRegression : The same model, fitted by
        full-batch solvers.
    sklearn.linear_model.SGDClassifier : One-versus-rest linear models, trained by
        stochastic gradient descent.

    Notes
    -----
    A batch B of the n rows contributes the gradient
    :math:`\frac{n}{|B| \sum_i s_i} \sum_{i \in B} s_i \nabla_i`, whose expectation
    is the gradient of F. The size of a batch does not depend on the weights of its
    rows: weighting rows is exactly equivalent to repeating them if one batch holds all
    rows, and equivalent in expectation otherwise.

    Each step of a mini-batch optimizer ends with a proximal step for the penalty:
    :math:`w \leftarrow \mathrm{sign}(w) \max(|w| - \eta \alpha \rho, 0) / (1 + \eta
    \alpha (1 - \rho))`, where η is the step size. No weight crosses zero, however large
    α is. The L1 part is cumulative, so that the noise of the batches does not move
    weights away from zero: the part of ηαρ that exceeds a weight is carried over to its
    next steps, up to 300 steps' worth.

    Each call chooses the values of ``"auto"`` from its training rows, without the
    held-out rows; a call that continues training keeps only `rescale_`. `partial_fit`
    does not know how many rows and epochs will follow, so it uses a constant rate and
    no penalty.

    The automatic rate of all optimizers but ``"adam"`` depends on the expected
    smoothness 𝓛 of a batch of b of the n rows (Gower et al.),

    .. math::

        \mathcal{L} = \frac{n (b - 1)}{b (n - 1)} \cdot
                      \frac{\lambda_{\max}(\tilde X^T S \tilde X)}{2 n}
                      + \frac{n - b}{b (n - 1)} \cdot
                      \frac{\max_i s_i \|\tilde x_i\|^2}{2}

    where the weights s have mean 1 and x̃ includes a constant 1 for the intercept. The
    factors 1/2 are Böhning's bound on the curvature. With all rows in one batch, no
    step of ``"sgd"`` increases F.

    Rows are cast and scaled one batch at a time: to float64 for float64 X and for
    integers that float32 can't represent exactly (with ``"lbfgs"``, for all 32-bit and
    64-bit integers), otherwise to float32. uint8 X is never cast as a whole, in `fit`
    or in `predict`, and sparse X is never made dense, not even one batch at a time.
    Column-major X, such as most DataFrames, is copied to row-major order once per fit,
    except a memmap larger than 1 GiB. TensorFlow is imported by the first `fit`, never
    by predictions.

    References
    ----------
    D. Böhning, "Multinomial logistic regression algorithm", Annals of the Institute of
    Statistical Mathematics 44(1), 1992.

    R. M. Gower et al., "SGD: general analysis and improved rates", ICML 2019.

    C. M. Bishop, "Pattern Recognition and Machine Learning", Springer, 2006,
    section 4.3.4.

    N. Parikh and S. Boyd, "Proximal Algorithms", Foundations and Trends in
    Optimization 1(3), 2014, section 6.5.3 (the steps of the penalty).

    Y. Tsuruoka, J. Tsujii and S. Ananiadou, "Stochastic gradient descent training for
    L1-regularized log-linear models with cumulative penalty", ACL 2009.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from tfsoftmax import TFSoftmaxClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = TFSoftmaxClassifier(random_state=0).fit(X[:1500], y[:1500])
    >>> round(clf.score(X[1500:], y[1500:]), 2)
    0.9
    """

    mean_: NDArray[Any] | None
    scale_: float | NDArray[Any]
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    learning_rate_: float
    learning_rate_schedule_: str
    epochs_: int
    alpha_: float
    rescale_: float | NDArray[Any] | Literal["standard"] | None
    n_iter_: int
    loss_curve_: list[float]
    dual_gap_: float

    def __init__(
        self,
        batch_size: int = 100,
        learning_rate: float | Literal["auto"] = "auto",
        epochs: int | Literal["auto"] = "auto",
        *,
        optimizer: Literal["sgd", "momentum", "nesterov", "adam", "lbfgs"] = "adam",
        momentum: float = 0.9,
        learning_rate_schedule: Literal[
            "auto", "constant", "cosine", "invscaling", "adaptive"
        ] = "auto",
        power_t: float = 0.5,
        alpha: float | Literal["auto"] = "auto",
        l1_ratio: float = 0.0,
        fit_intercept: bool = True,
        rescale: float
        | Sequence[float]
        | Array
        | Literal["standard", "auto"]
        | None = "auto",
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        scoring: Literal["loss", "accuracy"] = "loss",
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
        self.scoring = scoring
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.verbose = verbose

    @restores_state_on_error
    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Fit the model, starting from zero weights unless `warm_start` is True.

        Parameters
        ----------
        X : {array-like, sparse matrix, Dask collection} of shape \
                (n_samples, n_features)
            The training rows: real numbers of any dtype. The rows of a Dask array or
            DataFrame stay on the workers of the current Dask client.
        y : {array-like, Dask collection} of shape (n_samples,) or \
                (n_samples, n_classes)
            The classes, as ints, strings, bools or categories; or soft labels, the
            probability of each class, which may be one-hot. If X is a Dask collection,
            y is in memory or a Dask collection with the same blocks.
        sample_weight : {array-like, Dask collection} of shape (n_samples,), \
                default=None
            Non-negative weights of the rows; None means equal weights. If `alpha` is a
            number, only their ratios matter.
        X_val : {array-like, sparse matrix, Dask collection} of shape \
                (n_val_samples, n_features), default=None
            Held-out rows, on which loss and accuracy are computed after each epoch. A
            pipeline transforms them only with ``transform_input=["X_val"]`` and
            metadata routing.
        y_val : {array-like, Dask collection} of shape (n_val_samples,) or \
                (n_val_samples, n_classes), default=None
            The classes of `X_val`, or soft labels.
        sample_weight_val : {array-like, Dask collection} of shape (n_val_samples,), \
                default=None
            Non-negative weights of the rows of `X_val`.

        Returns
        -------
        self : TFSoftmaxClassifier
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If a parameter or an argument is invalid, or the loss becomes non-finite. A
            fitted estimator then keeps its previous state.
        ImportError
            If TensorFlow can't be imported.
        RuntimeError
            In a fork of a process that has already trained, where TensorFlow would
            hang; or in TensorFlow's graph mode.
        RuntimeError, MemoryError, ConnectionError
            If the workers of a Dask cluster fail, or the connection to its scheduler.

        Warns
        -----
        ConvergenceWarning
            If training ended far from the optimum: the loss is no better than that of a
            constant prediction, changing a single weight would still lower it by 0.01,
            or much of its decrease was in the second half of the epochs. Also if `tol`
            was passed but not met in `epochs` epochs, or if ``"lbfgs"`` ended without
            meeting `tol`. The message states the reason and what to do.
        UserWarning
            If training was interrupted (Ctrl-C); the weights of the last complete epoch
            are kept. Also if more than a quarter of the values of `X_val` are outside
            the range of `X`, or vice versa, which suggests that they were scaled
            differently; and if mini-batches are trained on a Dask collection whose rows
            are sorted by class.
        """
        self._check_parameters()
        previous = getattr(self, "_result", None) if self.warm_start else None
        problem = prepare(
            [self],
            X,
            y,
            sample_weight,
            X_val=X_val,
            y_val=y_val,
            sample_weight_val=sample_weight_val,
            previous=previous and previous.with_new_schedule(),
        )
        with problem:
            attributes = partial(fitted_attributes, problem)
            (settings,) = problem.settings
            task = FitTask(self, settings.epochs, X, y, sample_weight, attributes)
            n_epochs = settings.epochs + (previous.n_epochs if previous else 0)
            logger = EpochLogger(self, n_epochs, task)
            (outcome,) = SOLVERS[self.optimizer].solve(problem, [logger])
            store(self, problem, outcome, logger)
        return self

    @_where_there_are_epochs
    @restores_state_on_error
    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on X and y, starting from the current weights.

        The optimizer state, the schedule and the order of rows also continue: if
        `learning_rate` and `alpha` are numbers, ten calls on the same data produce the
        same model as one `fit` of ten epochs. The history keeps the last 1,000 epochs.

        Parameters
        ----------
        X : {array-like, sparse matrix, Dask collection} of shape \
                (n_samples, n_features)
            The rows.
        y : {array-like, Dask collection} of shape (n_samples,) or \
                (n_samples, n_classes)
            The classes, all of which must be in `classes`; or soft labels.
        classes : array-like of shape (n_classes,), default=None
            All classes that will occur in any call. Required in the first call unless y
            has soft labels, optional afterwards. Must be sorted if y has soft labels in
            unnamed columns, whose order they then describe.
        sample_weight : {array-like, Dask collection} of shape (n_samples,), \
                default=None
            Non-negative weights of the rows; only their ratios within this call matter.
            None means equal weights.

        Returns
        -------
        self : TFSoftmaxClassifier
            The trained estimator.

        Raises
        ------
        TypeError, ValueError
            As in `fit`; if `y` has a class that is not in `classes`; if `classes` is
            missing in the first call or differs in a later one; and with
            ``early_stopping=True`` or ``class_weight="balanced"``, which need all
            epochs or all rows.
        ImportError
            If TensorFlow can't be imported.
        RuntimeError
            In a fork of a process that has already trained, where TensorFlow would
            hang; or in TensorFlow's graph mode.
        """
        check_partial_fit(self._check_parameters())
        previous = getattr(self, "_result", None)
        expected = classes_to_expect(self, classes, y, previous)
        problem = prepare(
            [self],
            X,
            y,
            sample_weight,
            classes=expected,
            previous=previous and previous.with_room_for(1),
            n_epochs=1,
        )
        with problem:
            logger = EpochLogger(self, problem.settings[0].epochs)
            (outcome,) = SOLVERS[self.optimizer].solve(problem, [logger])
            store(self, problem, outcome, logger)
        return self

    @property
    def history_(self) -> pd.DataFrame:
        """Training metrics as a DataFrame, one row per epoch.

        The index, `epoch`, starts at 1 and continues in warm starts. `loss` and
        `accuracy` are weighted means over the batches of the epoch, each computed
        before its update; the loss is the cross-entropy, without the penalty.
        `val_loss` and `val_accuracy` are computed on the held-out rows, if any, after
        the epoch. `learning_rate` is the rate used (absent with ``"lbfgs"``), and
        `seconds` the duration of the epoch, including the evaluation. After a fit with
        `early_stopping`, `kept` is True for the epoch whose weights were kept, and
        False for the others.

        Raises
        ------
        NotFittedError
            If the classifier is not fitted.
        AttributeError
            If pandas can't be imported.
        """
        check_is_fitted(self)
        try:
            pd = check_pandas_support("history_, a DataFrame,")
        except ImportError as error:
            raise AttributeError(str(error)) from error  # for hasattr, and HTML views
        result = self._result
        first = 1 + result.n_epochs - len(result.history["loss"])
        index = pd.RangeIndex(first, result.n_epochs + 1, name="epoch")
        table = pd.DataFrame(result.history, index=index)
        if result.kept_epoch is not None:
            table["kept"] = index == result.kept_epoch
        return table

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _get_fitted_attr_html(self, doc_link: str = "") -> Any:
        """Return the table of the HTML view, with the history shown like an array."""
        shown = super()._get_fitted_attr_html(doc_link)
        if history := shown.get("history_"):
            table = self.history_
            values = table.to_numpy(dtype=float)  # of `kept`, 0 and 1
            history |= {"shape": table.shape, "dtype": values.dtype, "value": values}
        return shown

    def _check_parameters(self) -> dict[str, Any]:
        # get_params of a subclass may not name all of them.
        parameters = {name: getattr(self, name) for name in RULES}
        check_parameters(parameters)
        return parameters
