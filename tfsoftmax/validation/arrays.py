"""Validation of rows and weights."""

from __future__ import annotations

import reprlib
import sys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from tfsoftmax.utils.slices import split_at_most
from tfsoftmax.validation.errors import errors_name, silent_checks

# Size from which a DataFrame is converted to one dtype here. Smaller ones save only
# small copies, and predicting a few rows would take another millisecond.
MIN_FRAME_SIZE = 1 << 20
# Number of its rows copied at a time.
FRAME_ROWS = 4096


def check_rows(estimator: Any, X: Any, name: str = "X", *, reset: bool) -> Any:
    """Validate rows of features for an estimator; `reset` stores the feature names.

    Returns
    -------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Not a copy if X already has one of these types.
    """
    with errors_name(name):
        X = with_one_dtype(check_structure(X, name))
        try:
            with silent_checks():
                rows = validate_data(estimator, X, accept_sparse="csr", reset=reset)
            check_real(rows, name)
        except (TypeError, ValueError) as error:
            refuse_images(X, name)
            if columns := _columns_without_numbers(X):
                # That their names are wrong would explain more.
                validate_data(estimator, X, skip_check_array=True, reset=reset)
                raise ValueError(
                    f"{name} must contain real numbers, but its columns "
                    f"{reprlib.repr(columns)} do not. Encode them, for instance with "
                    "OneHotEncoder in a ColumnTransformer, or drop them."
                ) from error
            raise
    return rows


def _columns_without_numbers(X: Any) -> list[Any]:
    """Return the names of a DataFrame's columns of text, categories or dates."""
    pd = sys.modules.get("pandas")
    if pd is None or not isinstance(X, pd.DataFrame):
        return []
    return [c for i, c in enumerate(X.columns) if not _has_numbers(X.iloc[:, i])]


def _has_numbers(column: Any) -> bool:
    """Whether all values of a DataFrame's column can be converted to floats."""
    if getattr(column.dtype, "kind", "O") in "mMc":
        return False
    try:
        column.dropna().astype(float)
    except (TypeError, ValueError):
        return False
    return True


def refuse_images(X: Any, name: str = "X") -> None:
    """Refuse rows of more than one dimension, naming the reshape that they need."""
    try:
        shape = np.shape(X)
    except ValueError:  # a ragged list
        return
    if len(shape) > 2:
        raise ValueError(
            f"{name} must have two dimensions, with one row per sample; got shape "
            f"{shape}. Flatten the images with {name}.reshape(len({name}), -1)."
        ) from None


def check_real(X: Any, name: str = "X") -> None:
    """Refuse dtypes that scikit-learn accepts but no model can use, such as dates."""
    if X.dtype.kind not in "biuf":
        hint = f" Convert it with numpy.asarray({name}, float)." * (X.dtype == object)
        raise ValueError(
            f"{name} must contain real numbers; got dtype {X.dtype}.{hint}"
        )
    if X.dtype.kind == "f" and X.dtype.itemsize > 8:
        values = X.data if sparse.issparse(X) else X
        with np.errstate(over="ignore"):  # checked here
            values = values.astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has values too large for float64. Scale them.")


def with_one_dtype(X: Any) -> Any:
    """Return a large DataFrame with several NumPy dtypes in their common dtype.

    Its values are an array in C order, which is the only copy: pandas would create a
    column-major array, which must be copied again. Everything else is returned
    unchanged, including frames with extension dtypes.
    """
    pd = sys.modules.get("pandas")  # if not imported, X is not a DataFrame
    if pd is None or not isinstance(X, pd.DataFrame) or X.size < MIN_FRAME_SIZE:
        return X
    dtypes = list(X.dtypes)
    if len(set(dtypes)) < 2 or not all(map(_is_real, dtypes)):
        return X
    values = np.empty(X.shape, np.result_type(*dtypes))
    for dtype in set(dtypes):
        columns = _as_slice([i for i, other in enumerate(dtypes) if other == dtype])
        for rows in split_at_most(len(X), FRAME_ROWS):
            values[rows, columns] = X.iloc[rows, columns].to_numpy()
    return pd.DataFrame(values, columns=X.columns, copy=False)


def _as_slice(numbers: list[int]) -> list[int] | slice:
    """Return consecutive numbers as a slice, which is faster; others unchanged."""
    first, stop = numbers[0], numbers[-1] + 1
    return slice(first, stop) if stop - first == len(numbers) else numbers


def _is_real(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "biuf"


def check_structure(X: Any, name: str = "X") -> Any:
    """Check the mask and the indices of X before its values are read.

    SciPy does not check the indices of a sparse matrix and may read out of bounds.

    Returns
    -------
    X : object
        X itself, or a CSR copy if X is sparse in LIL, DOK or DIA format.
    """
    with errors_name(name):
        refuse_masked(X, name)
        if not sparse.issparse(X):
            return X
        if X.ndim != 2:
            raise ValueError(f"{name} must have two dimensions; it has {X.ndim}.")
        if X.format == "lil" and list(map(len, X.rows)) != list(map(len, X.data)):
            raise ValueError("A row has different numbers of values and indices.")
        if X.format in ("lil", "dok", "dia"):
            X = X.tocsr()
        if X.format == "coo":
            type(X)((X.data, X.coords), shape=X.shape)
        else:
            # A new matrix of the same arrays, since the check may trim them.
            same = type(X)((X.data, X.indices, X.indptr), shape=X.shape)
            same.check_format(full_check=True)
    return X


def refuse_masked(values: Any, name: str) -> None:
    """Refuse masked values; scikit-learn would use the values under the mask."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name} must not have masked values; fill or drop them.")


def check_weights(
    sample_weight: ArrayLike,
    n_samples: int,
    name: str = "sample_weight",
    *,
    may_be_zero: bool = False,
) -> NDArray[np.float64]:
    """Validate one weight for each of n rows; a single number is used for all rows.

    All weights may be zero only in a block of a larger collection.
    """
    if np.isscalar(sample_weight):
        sample_weight = np.full(n_samples, sample_weight)
    weights = check_numbers(sample_weight, name, ensure_2d=False, ensure_min_samples=0)
    if weights.shape != (n_samples,):
        raise ValueError(
            f"{name} must have one weight for each of the {n_samples} rows; got an "
            f"array of shape {weights.shape}."
        )
    if (weights < 0).any():
        raise ValueError(f"{name} must not be negative; got {weights.min()}.")
    if not may_be_zero:
        refuse_zeros(weights, name)
    return weights


def refuse_zeros(weights: Any, name: str) -> None:
    """Refuse weights that leave nothing to train on."""
    if not np.any(weights):
        raise ValueError(f"{name} must not be zero for all rows.")


def check_numbers(values: Any, name: str, **options: Any) -> NDArray[np.float64]:
    """Validate finite real numbers with `check_array`; return them as float64."""
    with errors_name(name):
        refuse_masked(values, name)
        with silent_checks():
            array = check_array(values, input_name=name, **options)
        check_real(array, name)
        return array.astype(np.float64, copy=False)  # type: ignore[no-any-return]
