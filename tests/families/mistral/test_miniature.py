"""The miniature language models: their text generator, and what the shipped weights can do."""

import itertools
import random
import re
from pathlib import Path

import measure
import pytest
import stories
import torch
import transformers

RECIPES = Path(__file__).parents[3] / "recipes"

SHARE_RIGHT = {"mistral": 0.45, "openelm": 0.8}


def words_of(text: str) -> list[str]:
    """The lower-case words of a text."""
    return re.findall(r"[a-z']+", text.lower())


def text_of(document: str | list[stories.Turn]) -> str:
    """A training document as plain text."""
    if isinstance(document, str):
        return document
    return "\n".join(turn["content"] for turn in document)


@pytest.fixture(scope="module")
def vocabulary() -> set[str]:
    """Every word of a few thousand training documents."""
    documents = itertools.islice(stories.documents(7), 4000)
    return {word for document in documents for word in words_of(text_of(document))}


@pytest.fixture(scope="module", params=SHARE_RIGHT)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def tokenizer(family: str) -> transformers.PreTrainedTokenizerBase:
    """The shipped tokenizer."""
    folder = RECIPES / family / "mini"
    return transformers.PreTrainedTokenizerFast.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(family: str) -> transformers.PreTrainedModel:
    """The shipped weights, in single precision."""
    folder = RECIPES / family / "mini"
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def test_the_generator_is_deterministic() -> None:
    first, again, other = (
        list(itertools.islice(stories.documents(seed), 50)) for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


def test_the_vocabulary_is_small(vocabulary: set[str]) -> None:
    assert 800 <= len(vocabulary) <= 2500


@pytest.mark.parametrize("plot", sorted(stories.plots.PLOTS))
def test_every_slot_is_filled_and_every_sentence_begins_with_a_capital(plot: str) -> None:
    for seed in range(100):
        story = stories.make_story(random.Random(seed), plot=plot)
        for text in (story.text, *itertools.chain(*story.questions)):
            assert not re.search(r"[\[\]{}|]|  ", text)
            assert not re.search(r"(^|[.] )[a-z]|\b[Aa] [aeio]", text)


def test_answers_agree_with_the_story() -> None:
    frame = set(words_of("the a an is was about made it they went gave lost ate got him her story"))
    starts = ("Who is", "What did", "Where did", "What colour", "How did", "Where was")
    for seed in range(300):
        story = stories.make_story(random.Random(seed))
        told = set(words_of(story.text)) | frame
        for ask, answer in story.questions:
            if ask.startswith(starts):
                unknown = set(words_of(answer)) - told - set(words_of(ask))
                assert not unknown, (story.text, ask, answer)
        answers = dict(story.questions)
        assert story.facts["name"] in answers["Who is the story about?"]
        assert answers[f"How did {story.facts['name']} feel at the end?"].endswith(
            f"felt {story.facts['good']}."
        )


def test_chats_alternate_between_user_and_assistant() -> None:
    rng = random.Random(5)
    for _ in range(200):
        roles = [turn["role"] for turn in stories.conversation(rng) if turn["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)


def test_the_tokenizer_adds_the_first_token_and_gives_text_back(
    tokenizer: transformers.PreTrainedTokenizerBase,
) -> None:
    text = 'Mia said: "Grüße!"\n\n\tOne 🦊, two [foxes].'
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id == 1
    assert tokenizer.eos_token_id == 2
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_the_chat_template_is_mistrals(tokenizer: transformers.PreTrainedTokenizerBase) -> None:
    turns = [
        {"role": "system", "content": "Be kind."},
        *stories.chat(("Hi", "Hello!"), ("Bye", "Goodbye!")),
    ]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    assert text == ("<s>[INST] Be kind.\n\nHi[/INST] Hello!</s>[INST] Bye[/INST] Goodbye!</s>")
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    marks = [token for token in tokenizer.convert_ids_to_tokens(ids) if token[0] in "<["]
    assert marks == ["<s>", "[INST]", "[/INST]", "</s>", "[INST]", "[/INST]", "</s>"]


@pytest.mark.long
def test_the_model_writes_a_story(
    model: transformers.PreTrainedModel,
    tokenizer: transformers.PreTrainedTokenizerBase,
    vocabulary: set[str],
) -> None:
    start = "Once upon a time"
    story = tokenizer.decode(measure.complete(model, tokenizer(start)["input_ids"], limit=200))
    assert len(words_of(story)) > 30
    assert len(re.findall(r"[.!?]", story)) >= 3
    assert set(words_of(story.rpartition(".")[0])) <= vocabulary


@pytest.mark.long
def test_the_model_answers_questions(
    family: str,
    model: transformers.PreTrainedModel,
    tokenizer: transformers.PreTrainedTokenizerBase,
) -> None:
    share, missed = measure.share_right(model, tokenizer, measure.held_out_questions(40))
    assert share >= SHARE_RIGHT[family], missed


def test_the_perplexity_is_low(
    family: str,
    model: transformers.PreTrainedModel,
    tokenizer: transformers.PreTrainedTokenizerBase,
) -> None:
    check = RECIPES / family / "mini-check.txt"
    ids = tokenizer(check.read_text(encoding="utf-8"))["input_ids"]
    assert len(ids) >= 1500
    assert measure.perplexity(model, ids) < 3.0
