"""Check that a saved model predicts in an environment without TensorFlow.

usage: check_predicting.py FILE, as saved by check_wheel.py
"""

import importlib.util
import pickle
import sys
from pathlib import Path

from tfsoftmax.datasets import load_mnist

assert importlib.util.find_spec("tensorflow") is None
clf, predicted = pickle.loads(Path(sys.argv[1]).read_bytes())
assert (clf.predict(load_mnist("all").data) == predicted).all()
print("It predicts without TensorFlow.")
