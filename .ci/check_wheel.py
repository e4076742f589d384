"""Check that what is installed is whole: the wheel, as a user gets it.

usage: check_wheel.py FILE, to which a fitted model and its predictions are saved
"""

import pickle
import sys
from pathlib import Path

import tfsoftmax
from tfsoftmax.datasets import load_mnist

package = Path(tfsoftmax.__file__).parent
assert "site-packages" in str(package), package
assert (package / "py.typed").is_file()
assert (package / "datasets" / "data" / "LICENSE-MNIST.txt").is_file()
digits = load_mnist("all")
assert digits.data.shape == (70_000, 784), digits.data.shape
assert "MNIST" in digits.DESCR
clf = tfsoftmax.TFSoftmaxClassifier(epochs=1, rescale=1 / 255)
assert clf.fit(digits.data, digits.target).score(digits.data, digits.target) > 0.84
Path(sys.argv[1]).write_bytes(pickle.dumps((clf, clf.predict(digits.data))))
print("The wheel works.")
