"""The signals that end the demo."""

from __future__ import annotations

import signal

import pytest
from watchllm_server.demo.signals import ENDING, signals_held, signals_interrupt


@pytest.mark.parametrize("number", ENDING)
def test_each_signal_interrupts_as_ctrl_c_does(number: signal.Signals) -> None:
    """SIGTERM and a closed terminal raise what Ctrl-C raises, and only inside the block."""
    before = signal.getsignal(number)

    with pytest.raises(KeyboardInterrupt), signals_interrupt():
        signal.raise_signal(number)

    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_is_held_back_comes_after_the_block(number: signal.Signals) -> None:
    """What stands after the signal in the block is still done; then the signal has its effect."""
    done = []

    def hold() -> None:
        with signals_interrupt():
            with signals_held():
                signal.raise_signal(number)
                done.append("inside")
            done.append("after")

    with pytest.raises(KeyboardInterrupt):
        hold()

    assert done == ["inside"]


def test_an_ignored_signal_stays_ignored() -> None:
    """Under nohup a closed terminal ends nothing."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_interrupt():
            signal.raise_signal(signal.SIGHUP)
            kept = signal.getsignal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert kept is signal.SIG_IGN
