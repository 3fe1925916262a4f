"""What plugins read of a checkpoint folder, and what they copy of it."""

import os
from pathlib import Path

import pytest

import zoo
from zoo.formats.checkpoint import copy_text_files, read_json


@pytest.mark.parametrize(
    "text", ["", "[1]", '"a"', "{", "[" * 200_000, '{"a": ' + "1" * 5000 + "}"]
)
def test_a_file_that_is_no_json_object_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(zoo.IntegrityError, match=r"config\.json"):
        read_json(path)


def test_what_belongs_to_the_tokenizer_is_copied_and_the_rest_is_not(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    kept = {"tokenizer.json", "chat_template.jinja", "tokenizer.model", "merges.txt"}
    left = {"config.json", "model.safetensors", "model.safetensors.index.json", "code.py"}
    for name in kept | left:
        (source / name).write_text(name)
    copy_text_files(source, target)
    assert set(os.listdir(target)) == kept
    copy_text_files(source, target, left_out=("merges.txt",))
    assert set(os.listdir(target)) == kept | {"config.json"}


def test_a_name_with_index_in_it_is_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "index_of_words.json").write_text("{}")
    copy_text_files(source, target)
    assert os.listdir(target) == ["index_of_words.json"]
