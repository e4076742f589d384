"""Ctrl-C at a known moment of a training, that the tests share."""

from __future__ import annotations

from tfsoftmax.engine.engine import Engine


def interrupt_in_epoch(number, monkeypatch):
    """Have Ctrl-C come when this epoch, counted from 1, is trained and not recorded."""
    n_epochs, train_epoch = 0, Engine.train_epoch

    def interrupted(self, states, chunks, hyper):
        nonlocal n_epochs
        n_epochs += 1
        trained = train_epoch(self, states, chunks, hyper)
        if n_epochs == number:
            raise KeyboardInterrupt
        return trained

    monkeypatch.setattr(Engine, "train_epoch", interrupted)
