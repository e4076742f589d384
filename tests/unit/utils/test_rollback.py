"""Objects keep their state where a method fails."""

from __future__ import annotations

import inspect

import pytest

from tfsoftmax.utils.rollback import restores_state_on_error


class Counter:
    def __init__(self):
        self.count, self.history = 1, ["first"]

    @restores_state_on_error
    def add(self, n: int, *, error: BaseException | None = None) -> Counter:
        """Add n."""
        self.count += n
        self.history = [*self.history, "next"]
        self.fitted_ = True
        if error is not None:
            del self.history
            raise error
        return self


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_after_an_error_all_attributes_are_as_before(error):
    counter = Counter()
    before = vars(counter).copy()
    with pytest.raises(type(error)) as raised:
        counter.add(2, error=error)
    assert raised.value is error
    assert vars(counter) == before
    assert counter.history is before["history"]


def test_without_an_error_the_new_state_stays():
    counter = Counter()
    assert counter.add(2) is counter
    assert (counter.count, counter.fitted_) == (3, True)
    with pytest.raises(ValueError, match="bad"):
        counter.add(3, error=ValueError("bad"))
    assert counter.count == 3


def test_the_method_has_its_name_signature_and_docstring():
    assert Counter.add.__name__ == "add"
    assert Counter.add.__doc__ == "Add n."
    assert list(inspect.signature(Counter.add).parameters) == ["self", "n", "error"]
