"""What a benchmark is asked for, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How much to measure.

    Attributes
    ----------
    repeats : int
        Rounds in which all contenders are measured, one after the other.
    quick : bool
        Small sizes and one round: does it run? Its figures mean nothing.
    memmap_rows : int
        Rows of 784 bytes in the file that is trained on as a memmap.
    """

    repeats: int = 5
    quick: bool = False
    memmap_rows: int = 8_100_000

    def rounds(self, most: int) -> int:
        """Give the rounds for what is too slow for more than `most`."""
        return min(self.repeats, most)


@dataclass(frozen=True)
class Goal:
    """A bound on a row's ratio or, where it has none, on its value."""

    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"

    def is_held_by(self, number: float) -> bool:
        """Tell whether a number keeps to the bound, with nothing rounded."""
        held = number >= self.bound if self.sign == "≥" else number <= self.bound
        return bool(held)


def at_least(bound: float) -> Goal:
    """Make a goal that larger numbers reach."""
    return Goal("≥", bound)


def at_most(bound: float) -> Goal:
    """Make a goal that smaller numbers reach."""
    return Goal("≤", bound)


@dataclass(frozen=True)
class Row:
    """One figure: what was measured, and what it should be.

    Attributes
    ----------
    section : str
    what : str
        Who was measured, doing what.
    value : float, or None
        The median over the rounds; None where nothing could be measured.
    unit : str
    ratio : float, or None
        What the section says a ratio is; the median of the rounds' own ratios.
    goal : Goal, or None
    note : str
    """

    section: str
    what: str
    value: float | None
    unit: str
    ratio: float | None = None
    goal: Goal | None = None
    note: str = ""

    @property
    def held(self) -> bool | None:
        """Whether the goal is held; None without a goal."""
        if self.goal is None:
            return None
        number = self.value if self.ratio is None else self.ratio
        return number is not None and self.goal.is_held_by(number)


def counted(n: int, noun: str) -> str:
    """Write a number and what it counts: "1 round", "3 rounds"."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


@dataclass(frozen=True)
class Section:
    """The rows of one module, what it says of itself, and how long it took."""

    name: str
    title: str
    about: str
    rows: tuple[Row, ...]
    seconds: float
