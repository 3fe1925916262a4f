"""PyTorch's number of threads: one for a small model, and as it was for everyone else."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

import zoo
from zoo.formats.threads import SMALL, fitting_threads

MINI = Path(__file__).parents[2] / "recipes" / "mistral" / "mini"


@pytest.fixture(autouse=True)
def two():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_small_model_has_one_thread_and_a_large_one_what_there_was():
    with fitting_threads(1000):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with fitting_threads(SMALL + 1):
        assert torch.get_num_threads() == 2


def test_within_itself_and_after_an_error():
    with fitting_threads(1000):
        with fitting_threads(1000):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    with pytest.raises(ZeroDivisionError), fitting_threads(1000):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2


def test_threads_of_python_that_overlap_leave_the_number_as_it_was():
    """The second begins within the first and ends after it, on a thread that PyTorch never saw."""
    begun, ended, seen = threading.Event(), threading.Event(), []

    def other() -> None:
        with fitting_threads(1000):
            begun.set()
            ended.wait(10)
            seen.append(torch.get_num_threads())
        seen.append(torch.get_num_threads())

    thread = threading.Thread(target=other)
    with fitting_threads(1000):
        thread.start()
        assert begun.wait(10)
    ended.set()
    thread.join(10)
    assert seen == [1, 2]
    assert torch.get_num_threads() == 2


def test_streams_that_interleave_leave_the_process_as_it_was_between_pieces(monkeypatch):
    """In the format `torch`; neither threads nor gradients of who reads the stream change."""
    with zoo.load(str(MINI), build="torch", family="mistral", check=False) as model:
        within = []
        forward = model.module.forward

        def watched(*given, **named):
            within.append((torch.get_num_threads(), torch.is_inference_mode_enabled()))
            return forward(*given, **named)

        monkeypatch.setattr(model.module, "forward", watched)
        streams = [model.stream(text, max_tokens=3) for text in ("Once", "The")]
        for _ in range(2):
            for stream in streams:
                next(stream)
                assert torch.get_num_threads() == 2
                assert not torch.is_inference_mode_enabled()
    assert set(within) == {(1, True)}
