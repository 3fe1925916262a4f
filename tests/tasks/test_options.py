"""Call options: types, ranges, names of other libraries, and what editors and `help` see."""

import inspect
import typing

import numpy as np
import pytest

import zoo
from zoo.tasks.pictures.options import ImageArguments
from zoo.tasks.speech.options import TranscribeArguments
from zoo.tasks.text.options import SamplingArguments

PAIRS = (
    (zoo.Sampling, SamplingArguments),
    (zoo.TranscribeOptions, TranscribeArguments),
    (zoo.ImageOptions, ImageArguments),
)


@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        (zoo.Sampling, {"temperature": "hot"}, "temperature must be a number, not 'hot'"),
        (zoo.Sampling, {"temperature": True}, "temperature must be a number, not True"),
        (zoo.Sampling, {"temperature": float("nan")}, "temperature must be at least 0, not nan"),
        (zoo.Sampling, {"max_tokens": None}, "max_tokens must be an integer, not None"),
        (zoo.Sampling, {"max_tokens": 0}, "max_tokens must be at least 1, not 0"),
        (zoo.Sampling, {"stop": None}, "stop must be a string or a list, not None"),
        (zoo.Sampling, {"stop": ["a", ""]}, "stop[1] must be text that is not empty, not ''"),
        (zoo.Sampling, {"top_k": 1.5}, "top_k must be an integer, not 1.5"),
        (zoo.Sampling, {"top_p": 0}, "top_p must be above 0 and at most 1, not 0.0"),
        (zoo.Sampling, {"seed": "x"}, "seed must be an integer, not 'x'"),
        (zoo.Sampling, {"seed": 10**400}, "seed must be from 0 to 9223372036854775807"),
        (
            zoo.Sampling,
            {"max_new_tokens": 3},
            "unknown option 'max_new_tokens', did you mean 'max_t",
        ),
        (zoo.Sampling, {"generator": 3}, "unknown option 'generator', did you mean 'seed'?"),
        (
            zoo.Sampling,
            {"temprature": 1},
            "unknown option 'temprature', did you mean 'temperature'?",
        ),
        (
            zoo.TranscribeOptions,
            {"beam_size": 5},
            "unknown option 'beam_size', did you mean 'beams'?",
        ),
        (zoo.TranscribeOptions, {"word_timestamps": True}, "did you mean 'words'?"),
        (zoo.TranscribeOptions, {"initial_prompt": "x"}, "did you mean 'prompt'?"),
        (zoo.TranscribeOptions, {"temperature": []}, "temperature must be at least one number"),
        (zoo.TranscribeOptions, {"temperature": [0, 3]}, "temperature[1] must be from 0 to 2"),
        (zoo.TranscribeOptions, {"task": "sing"}, "task must be one of 'transcribe', 'translate'"),
        (zoo.TranscribeOptions, {"language": 3}, "language must be a string, not 3"),
        (zoo.ImageOptions, {"width": "512"}, "width must be an integer, not '512'"),
        (zoo.ImageOptions, {"num_inference_steps": 3}, "did you mean 'steps'?"),
        (zoo.ImageOptions, {"guidance_scale": 3}, "did you mean 'guidance'?"),
        (zoo.ImageOptions, {"negative_prompt": "x"}, "did you mean 'negative'?"),
        (zoo.ImageOptions, {"safety": 1}, "safety must be true or false, not 1"),
    ],
)
def test_a_wrong_option_is_one_sentence(options, given, message):
    with pytest.raises(zoo.InputError) as error:
        options.of(given)
    assert message in error.value.message


def test_all_faults_are_said_at_once():
    with pytest.raises(zoo.InputError) as error:
        zoo.Sampling(max_tokens=0, top_p=2)
    assert error.value.message == (
        "max_tokens must be at least 1, not 0; top_p must be above 0 and at most 1, not 2.0"
    )


def test_numbers_of_numpy_and_single_values_are_taken():
    made = zoo.Sampling.of({"temperature": np.float32(0.5), "max_tokens": np.int64(3), "stop": "."})
    assert (made.temperature, made.max_tokens, made.stop) == (0.5, 3, (".",))
    assert (type(made.temperature), type(made.max_tokens)) == (float, int)
    assert zoo.TranscribeOptions(temperature=0).temperature == (0.0,)


@pytest.mark.parametrize(("options", "arguments"), PAIRS)
def test_type_checkers_know_every_option(options, arguments):
    """The keywords of a call are the fields: same names, and at least the same types."""
    fields = typing.get_type_hints(options, include_extras=True)
    keywords = typing.get_type_hints(arguments)
    assert list(keywords) == list(options.names())
    for name, hint in keywords.items():
        if typing.get_origin(fields[name]) is not tuple:
            assert hint == fields[name], name


@pytest.mark.parametrize(("options", "_"), PAIRS)
def test_help_tells_every_option(options, _):
    for name in options.names():
        assert f"    {name}: " in options.__doc__


@pytest.mark.parametrize(
    ("method", "option", "default"),
    [
        (zoo.TextModel.generate, "max_tokens", 256),
        (zoo.TextModel.stream_chat, "temperature", 0.0),
        (zoo.SpeechModel.transcribe, "no_speech_threshold", 0.6),
        (zoo.ImageModel.generate_many, "steps", 20),
    ],
)
def test_signatures_show_options_with_their_defaults(method, option, default):
    assert inspect.signature(method).parameters[option].default == default
