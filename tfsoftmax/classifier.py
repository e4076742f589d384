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
            f"partial_fit trains for an epoch, and optimizer={self.optimizer!r} has "
            "none."
        )
    return True


def _where_there_are_epochs(method: Method) -> Method:
    """Decorate a method that only the optimizers have that train by epochs."""
    return available_if(_trains_by_epochs)(method)  # type: ignore[no-any-return]


class TFSoftmaxClassifier(
    CallbackSupportMixin,  # type: ignore[misc]
    SoftmaxPredictor,
    DocumentationLinkMixin,
    ExportMixin,
    BaseEstimator,  # type: ignore[misc]
):
    r"""Softmax regression, trained by gradient descent in TensorFlow.

    With weights W and intercept b, a row x has the class probabilities
    softmax(W x + b). ``fit`` minimises their mean cross-entropy and a penalty,

    .. math::

        F(W, b) = \frac{1}{\sum_i s_i} \sum_i s_i \left[
                  \log \sum_k e^{z_{ik}} - z_{i y_i} \right]
                  + \alpha \left[ \frac{1 - \rho}{2} \|W\|_2^2 + \rho \|W\|_1 \right],
        \qquad z_i = W \tilde x_i + b

    where :math:`s_i` are sample weights times class weights, ρ is `l1_ratio` and
    :math:`\tilde x_i` is :math:`x_i`, scaled as `rescale` says. Weights start at zero.
    The model is also known as multinomial logistic regression, and as logistic
    regression with two classes.

    Parameters
    ----------
    batch_size : int, default=100
        Rows in one step of gradient descent. The last batch of an epoch may be
        smaller. A batch of at least ``n_samples`` gives full-batch descent.

    learning_rate : float or "auto", default="auto"
        Step size. ``"auto"`` is 0.15 / r, at most 0.05, for ``"adam"``, where r² is the
        mean of ‖x̃‖², and 0.01 in `partial_fit`. For ``"sgd"``, ``"momentum"`` and
        ``"nesterov"`` it is (1 − μ) / 𝓛, where μ is the momentum and 𝓛 the smoothness
        of a batch's loss (see Notes).

    epochs : int or "auto", default="auto"
        Number of passes over the data. ``"auto"`` is 10, or as many as take 1,000
        steps. For ``optimizer="lbfgs"`` it is the maximum number of iterations, and
        ``"auto"`` is 10,000, which `tol` ends long before. In `partial_fit` it is only
        the length of a cosine.

    optimizer : {"sgd", "momentum", "nesterov", "adam", "lbfgs"}, default="adam"
        The update rule. ``"sgd"`` is plain gradient descent; ``"momentum"`` and
        ``"nesterov"`` add a part of the previous step; ``"adam"`` divides the step by
        a running average of the gradient's size, with β₁ = 0.9 and β₂ = 0.999.
        ``"lbfgs"`` minimises to the optimum: preconditioned L-BFGS on all rows at once,
        until `tol` is met. It needs no scaled features, has no batches and no learning
        rate, and nothing in it is random. Whatever else ends it is a
        ConvergenceWarning.

    momentum : float, default=0.9
        Momentum coefficient of ``"momentum"`` and ``"nesterov"``, in [0, 1).

    learning_rate_schedule : str, default="auto"
        The learning rate of each epoch. ``"constant"`` is `learning_rate` throughout.
        ``"cosine"`` falls along half a cosine from `learning_rate` to almost 0 in
        `epochs` epochs. ``"invscaling"`` divides by ``(t + 1) ** power_t``, where t
        counts the rows trained on. ``"adaptive"`` divides by 5 whenever progress has
        stalled; once it would fall to 1e-6, training stops. ``"auto"`` is ``"cosine"``
        where the optimizer is ``"adam"`` and `learning_rate` is ``"auto"``, but not in
        `partial_fit`; otherwise it is ``"constant"``.

    power_t : float, default=0.5
        The exponent of ``"invscaling"``.

    alpha : float or "auto", default="auto"
        Strength α of the penalty. ``alpha=1 / (C * s.sum())``, or ``1 / (C *
        n_samples)`` without weights, has the same optimum as scikit-learn's
        ``LogisticRegression(C=C)``. ``"auto"`` has that of ``C=1``, and is 0 in
        `partial_fit`. The intercept is not penalised, and W are the weights of the
        rescaled features.

    l1_ratio : float, default=0.0
        Share ρ of the L1 penalty, in [0, 1]. With it, weights become exact zeros, with
        mini-batches too; ``"lbfgs"`` can't minimise it.

    fit_intercept : bool, default=True
        Whether to fit b; otherwise it is zero.

    rescale : float, array-like, "standard", "auto" or None, default="auto"
        How the features are scaled, inside the compiled program, so that X is neither
        copied nor cast nor made dense. A number is a factor on every feature:
        ``rescale=1/255`` brings raw pixels to [0, 1]; an array of shape (n_features,)
        has a factor for each. ``"standard"`` subtracts each feature's mean and divides
        by its standard deviation, as scikit-learn's ``StandardScaler`` does, also of
        sparse X. Both are those of the training rows, weighted by `sample_weight`, in
        the first call of `fit` or `partial_fit`; later calls that resume it keep them.
        None is a factor of 1. ``"auto"`` is, for uint8 X, 1 over its largest value; for
        other dense X that goes beyond [−1, 1], ``"standard"`` or, without an intercept,
        1 over each feature's root mean square; and None for all other X and for
        ``"lbfgs"``. `coef_` and `intercept_` refer to the X passed, whatever `rescale`
        is.

    class_weight : dict or "balanced", default=None
        Weights of the classes, which multiply the sample weights; the weight of a class
        that is not in the dict is 1. ``"balanced"`` gives each class the same total
        weight, with ``n_samples / (n_classes * np.bincount(y))``; `partial_fit`, which
        doesn't see all rows, refuses it.

    shuffle : bool, default=True
        Whether each epoch takes the rows in a new random order.

    random_state : int, RandomState instance or None, default=None
        Determines the order of the rows and, with `early_stopping`, which rows are held
        out; nothing else is random. Pass an int for the same result, to the bit, in
        every call and every process.

    early_stopping : bool, default=False
        Whether to stop when the model no longer improves on held-out rows, and keep
        the weights of the best epoch. The rows are `X_val` if passed to `fit`,
        otherwise a fraction of the training rows.

    validation_fraction : float, default=0.1
        The fraction of each class that `early_stopping` holds out. Equal rows stay
        together, so that no held-out row was trained on.

    scoring : {"loss", "accuracy"}, default="loss"
        What `early_stopping` measures on the held-out rows: their mean cross-entropy
        or their accuracy. The accuracy of few rows is often the same in many epochs,
        the first of which is then the best.

    tol : float, default=None
        Progress has stalled when the training loss (with `early_stopping`, what
        `scoring` says) has not improved by `tol` for more than `n_iter_no_change`
        epochs in a row; training then stops. None disables this check, except with
        `early_stopping` or ``"adaptive"``, where it means 1e-4. For ``"lbfgs"``,
        training stops when λ ≤ tol·√F, where the Newton decrement λ is the gradient's
        length in the metric of the curvature, whatever the units of the features: F is
        then about tol²/2 of its value above its minimum. None means as far as rounding
        allows: 1e-9 for float64 X, 1e-5 for X that is computed in float32.

    n_iter_no_change : int, default=10
        Epochs in a row without an improvement by `tol` before training stops.

    warm_start : bool, default=False
        Whether `fit` resumes the previous fit, its optimizer's state and its order of
        rows included, for another `epochs` epochs. A cosine schedule starts over.

    verbose : int, default=0
        1 prints one line per epoch; 0 prints nothing.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted. With soft labels, 0 to n_classes − 1, or the columns'
        names of a DataFrame, in their order.

    coef_ : ndarray of shape (n_classes, n_features) or (1, n_features)
        The weights, in the units of the X passed. With two classes there is one
        row, for ``classes_[1]``. float64 for float64 X, float32 for float32 and
        uint8 X; of the dtype that was computed in.

    intercept_ : ndarray of shape (n_classes,) or (1,)
        The intercept, of the X passed. With ``fit_intercept=False`` it is zero, but for
        ``rescale="standard"``, whose means it subtracts.

    mean_ : ndarray of shape (n_features,) or None
        What is subtracted from the features: their means with ``rescale="standard"``,
        else None. The penalty and the optimizer see ``(X - mean_) / scale_``.

    scale_ : float or ndarray of shape (n_features,)
        What the features are divided by: their standard deviations, 1 for those that
        don't vary, with ``rescale="standard"``; else 1 over `rescale`.

    n_features_in_ : int
        The number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        The names of the features, if X has names that are all strings.

    learning_rate_ : float
        The `learning_rate` of the last call: what was passed, or was chosen for
        ``"auto"``. There is none after a fit with ``"lbfgs"``.

    learning_rate_schedule_ : str
        Its `learning_rate_schedule`, likewise.

    epochs_ : int
        Its `epochs`, of which early stopping may have left some out.

    alpha_ : float
        Its `alpha`.

    rescale_ : float, ndarray of shape (n_features,), "standard" or None
        Its `rescale`.

    n_iter_ : int
        The number of epochs of the last `fit`, with ``"lbfgs"`` of iterations; after
        `partial_fit` it is 1.

    loss_curve_ : list of float
        The mean cross-entropy in each epoch of `history_`, without the penalty.

    dual_gap_ : float
        After a fit with ``"lbfgs"``: an upper bound of how far F is above its minimum,
        on the training rows; infinite with ``alpha=0``. See :func:`dual_gap`, which
        computes it for any fitted classifier.

    history_ : DataFrame
        A row for each epoch, those before a warm start included, with its `loss`,
        `accuracy`, `learning_rate` and `seconds` and, where rows were held out,
        `val_loss` and `val_accuracy`; with `early_stopping`, `kept` is True for the
        epoch whose weights were kept. `partial_fit` keeps the last 1,000 rows.

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

    The penalty is a proximal step that ends each step of a mini-batch optimizer:
    :math:`w \leftarrow \mathrm{sign}(w) \max(|w| - \eta \alpha \rho, 0) / (1 + \eta
    \alpha (1 - \rho))`, where η is the length of the step. It leads past no zero,
    however large α is. So that the noise of the batches lifts no weight off zero, the
    L1 part is cumulative: what a weight at zero has not paid of ηαρ it owes, up to 300
    steps' worth.

    What is ``"auto"`` is chosen by the training rows, without those held out, in each
    call; a call that resumes keeps only `rescale_`. A call of `partial_fit` doesn't
    know how many rows and epochs will follow, hence its constant rate and no penalty.

    For plain descent the rate goes by the expected smoothness 𝓛 of a batch of b of the
    n rows (Gower et al.),

    .. math::

        \mathcal{L} = \frac{n (b - 1)}{b (n - 1)} \cdot
                      \frac{\lambda_{\max}(\tilde X^T S \tilde X)}{2 n}
                      + \frac{n - b}{b (n - 1)} \cdot
                      \frac{\max_i s_i \|\tilde x_i\|^2}{2}

    where the weights s have a mean of 1 and x̃ includes the intercept's 1. The halves
    are Böhning's bound of the curvature. With all rows in one batch, no step of
    ``"sgd"`` raises F.

    Rows are cast and scaled a batch at a time, in float32 or, for float64 X (and for
    integers that float32 can't hold; with ``"lbfgs"``, for all integers of 32 and 64
    bits), in float64. uint8 X is never cast as a whole, neither in `fit` nor in
    `predict`, and sparse X is never made dense, not even a batch. X by columns in
    memory, as most DataFrames are, is copied by rows, once a fit; a memmap larger than
    1 GiB is not. TensorFlow is imported by the first `fit`, never by predicting.

    References
    ----------
    D. Böhning, "Multinomial logistic regression algorithm", Annals of the Institute of
    Statistical Mathematics 44(1), 1992.

    R. M. Gower et al., "SGD: general analysis and improved rates", ICML 2019.

    C. M. Bishop, "Pattern Recognition and Machine Learning", Springer, 2006,
    section 4.3.4.

    N. Parikh and S. Boyd, "Proximal Algorithms", Foundations and Trends in
    Optimization 1(3), 2014, section 6.5.3, for the steps of the penalty.

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
        """Fit the model to X and y: from zero weights, unless `warm_start` is True.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The training rows: real numbers of any dtype.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Their classes: ints, strings, bools or categories. Or soft labels: the
            probability of each class, one-hot rows among them.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows, by default 1. Where `alpha` is a number,
            only their ratios matter.
        X_val : {array-like, sparse matrix} of shape (n_val_samples, n_features), \
                default=None
            Held-out rows, on which loss and accuracy are measured after each
            epoch. A pipeline transforms them only with
            ``transform_input=["X_val"]`` and metadata routing.
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
            If a parameter or an argument is not as described, or the loss becomes
            non-finite. A fitted estimator then keeps its previous state.
        ImportError
            If TensorFlow can't be imported.
        RuntimeError
            In a fork of a process that has trained, where TensorFlow would hang, and
            in TensorFlow's graph mode.

        Warns
        -----
        ConvergenceWarning
            If training had hardly begun when it ended: its loss is no better than that
            of predicting every row alike, a single weight would still lower it by 0.01,
            or much of its fall was in the second half of the epochs. If `tol` was asked
            for and not met in `epochs` epochs; and if ``"lbfgs"`` ended by anything but
            `tol`. It gives the reason and the remedy.
        UserWarning
            If training was interrupted (Ctrl-C): the finished epochs are kept. And if
            more than a quarter of the values of X_val lie beyond the range of X, or
            the other way round: one of them was not scaled like the other.
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
        """Train for one epoch on X and y, starting from the present weights.

        The optimizer's state, the schedule and the order of rows are resumed, too: ten
        calls on the same data give the same model as one `fit` of ten epochs, where
        `learning_rate` and `alpha` are numbers. The history keeps the last 1,000
        epochs.

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
            `classes` is missing from the first call or differs in a later one; and
            with ``early_stopping=True`` or ``class_weight="balanced"``, which need all
            epochs and all rows.
        ImportError
            If TensorFlow can't be imported.
        RuntimeError
            In a fork of a process that has trained, where TensorFlow would hang, and
            in TensorFlow's graph mode.
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
        """The metrics of training as a DataFrame, one row per epoch.

        Its index, `epoch`, counts from 1 and goes on in warm starts. `loss` and
        `accuracy` are the weighted means over the epoch's batches, each measured before
        its update; the loss is the cross-entropy, without the penalty. `val_loss` and
        `val_accuracy`, where rows are held out, are measured after the epoch;
        `learning_rate`, but for ``"lbfgs"``, is the rate used, and `seconds` the time
        the epoch took, measurement included. After a fit with `early_stopping`, `kept`
        is True for the epoch whose weights were kept, and False for the others.

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
        """Return the HTML view's table, with the history shown as arrays are."""
        shown = super()._get_fitted_attr_html(doc_link)
        if history := shown.get("history_"):
            table = self.history_
            values = table.to_numpy(dtype=float)  # of `kept`, 0 and 1
            history |= {"shape": table.shape, "dtype": values.dtype, "value": values}
        return shown

    def _check_parameters(self) -> dict[str, Any]:
        # Of a subclass, get_params may not name all of them.
        parameters = {name: getattr(self, name) for name in RULES}
        check_parameters(parameters)
        return parameters
