"""The example scripts beside mnist.py, each on little data."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tfsoftmax import callbacks

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name, *arguments):
    return subprocess.run(
        [sys.executable, EXAMPLES / name, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def lines_of(name, *arguments):
    result = example(name, *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.splitlines()


def shows_progress():
    return callbacks.SUPPORTED and importlib.util.find_spec("rich") is not None


@pytest.mark.slow
def test_the_search_prints_the_best_candidates_and_their_accuracy():
    options = ["--rows", "1500", "--folds", "2", "--epochs", "2", "--compare"]
    lines = lines_of("grid_search.py", *options)
    assert lines[0] == (
        "Searching 24 candidates on 2 folds of 1,500 pictures: 48 fits of 2 epochs"
    )
    header = next(i for i, line in enumerate(lines) if "learning rate" in line)
    bars = lines[1:header]
    # The fit, its search, a group of each fold, and the refit.
    assert len(bars) == (5 if shows_progress() else 0)
    assert all("TFSoftmaxGridSearchCV - " in bar and "100%" in bar for bar in bars)
    table = [
        [float(x) for x in line.split()] for line in lines[header + 1 : header + 6]
    ]
    accuracies = [accuracy for _, _, accuracy, _ in table]
    assert accuracies == sorted(accuracies, reverse=True)
    assert table[0][0] in (0.3, 1)  # the learning rate: so few steps have to be long
    assert accuracies[0] == pytest.approx(0.789, abs=0.01)
    assert lines[header + 6].startswith("Searched in ")
    pattern = r"GridSearchCV takes .* accuracy is (0\.\d+), and this one's (0\.\d+)\."
    theirs, ours = map(float, re.search(pattern, lines[header + 7]).groups())
    assert ours == accuracies[0] == pytest.approx(theirs, abs=0.001)
    accuracy = re.fullmatch(r"Test accuracy of the best, refitted: (.*)", lines[-1])
    assert float(accuracy[1]) == pytest.approx(0.832, abs=0.01)


@pytest.mark.slow
def test_a_file_trains_in_less_memory_than_a_copy_takes(tmp_path):
    lines = lines_of("out_of_core.py", "--rows", "400000", "--folder", str(tmp_path))
    printed = "\n".join(lines)
    assert lines[0].startswith("Wrote 400,000 digits, 0.31 GB, in ")
    if sys.platform == "linux":
        held, limit = (
            float(re.search(rf"{what}.*: ([\d.]+) GB", printed)[1])
            for what in ("allocated so far", "allowed from now on")
        )
        assert limit - held == pytest.approx(0.08, abs=0.011)
        assert "A copy of X can't be made: Unable to allocate 299. MiB" in printed
        taken = re.search(r"Memory that training took: (\d+) MB\.", printed)
        assert int(taken[1]) < 78
    assert re.search(r"^Trained in .* million rows a second\.$", printed, re.M)
    assert lines[-1] == "Test accuracy, on digits that are not shifted: 0.866"
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_cluster_trains_on_more_rows_than_this_process_may_hold():
    lines = lines_of("dask_cluster.py")
    printed = "\n".join(lines)
    if sys.platform == "linux":
        assert lines[0] == "X takes 400 MB. This process may use 100 MB."
        assert "X would not fit into it: Unable to allocate 381. MiB" in printed
        grown = re.search(r"^This process grew by (-?\d+) MB\.$", printed, re.M)
        assert int(grown[1]) < 50
    assert re.search(r"^Trained in .*, on 500,000 rows\.$", printed, re.M)
    received = re.search(r"sent to this process: (\d+) MB\.$", printed, re.M)
    assert 1 < int(received[1]) < 20
    best, accuracy = (float(line.rpartition(" ")[2]) for line in lines[-2:])
    assert best == pytest.approx(0.772, abs=0.005)  # the weights that drew the labels
    assert best - 0.003 < accuracy <= best


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("grid_search.py", ["--rows", "0"], "rows must be from 1 to 60,000; got 0."),
        (
            "grid_search.py",
            ["--epochs", "0"],
            "epochs must be a positive integer; got 0.",
        ),
        ("grid_search.py", ["--data-dir", "nowhere"], "Found neither train-images"),
        ("out_of_core.py", ["--rows", "5"], "rows must be at least 400,000; got 5."),
        ("out_of_core.py", ["--rows", "9" * 12], "The file takes 784000.0 GB, and "),
        ("out_of_core.py", ["--folder", "nowhere"], "[Errno 2] No such file"),
        ("dask_cluster.py", ["--rows", "5"], "rows must be at least 500,000; got 5."),
        ("dask_cluster.py", ["--memory", "much"], "Could not interpret 'much' as"),
    ],
)
def test_an_example_says_in_a_line_what_is_wrong_with_an_option(
    name, arguments, message
):
    result = example(name, *arguments)
    assert result.returncode == 1
    assert result.stderr.startswith(f"{name}: {message}")
    assert len(result.stderr.splitlines()) == 1
