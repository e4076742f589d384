"""The alternatives, each as a scikit-learn classifier that fits softmax regression.

All start at zero weights but `MLPClassifier`, which has no such choice, and take the
rows in a new order each epoch, in batches, by plain gradient descent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.neural_network import MLPClassifier

from benchmarks.data import RESCALE
from tfsoftmax import TFSoftmaxClassifier
from tfsoftmax.engine import runtime

BATCH_SIZE, LEARNING_RATE = 100, 0.01


def this(epochs: int, *, raw: bool = True, **parameters: Any) -> TFSoftmaxClassifier:
    """Make our classifier; `raw` for bytes, which it rescales itself."""
    own = {
        "batch_size": BATCH_SIZE,
        "learning_rate": LEARNING_RATE,
        "epochs": epochs,
        "optimizer": "sgd",
        "learning_rate_schedule": "constant",
        "alpha": 0,
        "rescale": RESCALE if raw else None,
        "random_state": 0,
    }
    return TFSoftmaxClassifier(**own | parameters)


def mlp(epochs: int, **parameters: Any) -> MLPClassifier:
    """Make scikit-learn's network without a hidden layer; it never stops early."""
    own = {
        "hidden_layer_sizes": (),
        "solver": "sgd",
        "momentum": 0,
        "alpha": 0,
        "batch_size": BATCH_SIZE,
        "learning_rate_init": LEARNING_RATE,
        "max_iter": epochs,
        "tol": 0,
        "n_iter_no_change": 10_000,
        "random_state": 0,
    }
    return MLPClassifier(**own | parameters)


class CosineMLP(MLPClassifier):
    """`MLPClassifier` without a hidden layer, Adam's rate along a cosine to 0.

    It has no such schedule itself, so each epoch is a `partial_fit` at another rate.

    Parameters
    ----------
    epochs : int
    alpha : float
        The penalty of this package's objective, in which the batch doesn't count.
    """

    def __init__(self, epochs: int, alpha: float) -> None:
        super().__init__(
            hidden_layer_sizes=(),
            alpha=alpha * BATCH_SIZE,  # it divides by the rows of a batch
            batch_size=BATCH_SIZE,
            learning_rate_init=LEARNING_RATE,
            random_state=0,
        )
        self.epochs = epochs

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> CosineMLP:
        """Descend for as many epochs, from new weights."""
        for name in ("coefs_", "_optimizer"):
            vars(self).pop(name, None)
        for epoch in range(self.epochs):
            if epoch:
                falling = (1 + np.cos(np.pi * epoch / self.epochs)) / 2
                self._optimizer.learning_rate_init = LEARNING_RATE * falling
            self.partial_fit(X, y, classes=np.unique(y))
        self.coef_, self.intercept_ = self.coefs_[0].T, self.intercepts_[0]
        return self


def keras_wrapper(epochs: int) -> Any:
    """Make Keras' own scikit-learn wrapper; it builds its model anew in each fit.

    Its clones forget `fit_kwargs` (Keras 3.15): a search has to set them in the grid.
    """
    runtime.import_tensorflow()  # which imports TensorFlow quietly
    import keras
    from keras.wrappers import SKLearnClassifier

    keras.config.disable_interactive_logging()  # predict would draw a bar
    return SKLearnClassifier(
        model=keras_model,
        model_kwargs={"learning_rate": LEARNING_RATE},
        fit_kwargs={"epochs": epochs, "batch_size": BATCH_SIZE, "verbose": 0},
    )


def keras_model(X: NDArray[Any], y: NDArray[Any], learning_rate: float) -> Any:
    """Build the model for X and the one-hot y that the wrapper passes."""
    return _compiled_keras_model(X.shape[1], y.shape[1], "categorical", learning_rate)


def scikeras(epochs: int) -> Any:
    """Make SciKeras' wrapper, which passes what it knows of the data as `meta`."""
    runtime.import_tensorflow()
    from scikeras.wrappers import KerasClassifier

    return KerasClassifier(
        model=scikeras_model, epochs=epochs, batch_size=BATCH_SIZE, verbose=0
    )


def scikeras_model(meta: dict[str, Any]) -> Any:
    """Build the model for data as `meta` describes them."""
    return _compiled_keras_model(
        meta["n_features_in_"], meta["n_classes_"], "sparse_categorical", LEARNING_RATE
    )


def _compiled_keras_model(
    n_features: int, n_classes: int, kind: str, learning_rate: float
) -> Any:
    import keras

    softmax = keras.layers.Dense(
        n_classes, activation="softmax", kernel_initializer="zeros"
    )
    model = keras.Sequential([keras.Input((n_features,)), softmax])
    model.compile(keras.optimizers.SGD(learning_rate), f"{kind}_crossentropy")
    return model


class NumPySoftmax(ClassifierMixin, BaseEstimator):
    """Softmax regression as one writes it by hand; labels are 0 … K − 1.

    Parameters
    ----------
    epochs : int
    rows_of_classes : bool, default=False
        Whether W is (n_classes, n_features) instead of the usual transpose.
    """

    def __init__(self, epochs: int, rows_of_classes: bool = False) -> None:
        self.epochs = epochs
        self.rows_of_classes = rows_of_classes

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> NumPySoftmax:
        """Descend from zeros."""
        rng = np.random.default_rng(0)
        targets = np.eye(y.max() + 1, dtype=X.dtype)[y]
        W = np.zeros((X.shape[1], targets.shape[1]), X.dtype)
        if self.rows_of_classes:
            W = np.ascontiguousarray(W.T)
        b = np.zeros(targets.shape[1], X.dtype)
        for _ in range(self.epochs):
            order = rng.permutation(len(X))
            for start in range(0, len(X), BATCH_SIZE):
                batch = order[start : start + BATCH_SIZE]
                x = X[batch]
                z = x @ (W.T if self.rows_of_classes else W) + b
                z -= z.max(axis=1, keepdims=True)
                p = np.exp(z)
                p /= p.sum(axis=1, keepdims=True)
                error = (p - targets[batch]) / len(batch)
                W -= LEARNING_RATE * (
                    error.T @ x if self.rows_of_classes else x.T @ error
                )
                b -= LEARNING_RATE * error.sum(axis=0)
        self.W_ = W.T if self.rows_of_classes else W
        self.b_ = b
        return self

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Give the most probable classes."""
        return (X @ self.W_ + self.b_).argmax(axis=1)


class TensorFlow1Softmax(ClassifierMixin, BaseEstimator):
    """The script of 2017: a graph, a `Session` and a `feed_dict` for each batch.

    Parameters
    ----------
    epochs : int
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def fit(self, X: NDArray[Any], y: NDArray[Any]) -> TensorFlow1Softmax:
        """Descend from zeros."""
        import tensorflow as tf

        rng = np.random.default_rng(0)
        targets = np.eye(y.max() + 1, dtype=np.float32)[y]
        tf1 = tf.compat.v1
        with tf.Graph().as_default():
            x = tf1.placeholder(tf.float32, [None, X.shape[1]])
            t = tf1.placeholder(tf.float32, [None, targets.shape[1]])
            W = tf1.Variable(tf.zeros([X.shape[1], targets.shape[1]]))
            b = tf1.Variable(tf.zeros([targets.shape[1]]))
            p = tf.nn.softmax(tf.matmul(x, W) + b)
            cost = tf.reduce_mean(-tf.reduce_sum(t * tf1.log(p), axis=1))
            step = tf1.train.GradientDescentOptimizer(LEARNING_RATE).minimize(cost)
            with tf1.Session() as session:
                session.run(tf1.global_variables_initializer())
                for _ in range(self.epochs):
                    order = rng.permutation(len(X))
                    for start in range(0, len(X), BATCH_SIZE):
                        batch = order[start : start + BATCH_SIZE]
                        session.run(
                            [step, cost], feed_dict={x: X[batch], t: targets[batch]}
                        )
                self.W_, self.b_ = session.run([W, b])
        return self

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Give the most probable classes."""
        return (X @ self.W_ + self.b_).argmax(axis=1)
