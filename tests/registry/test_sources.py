"""Sources from anywhere: a folder or an archive of the user's, an address that a hook knows."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

import pytest

VOICE = '{ path = "voice.txt", size = 3, sha256 = "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356" }'
RECIPE = """
schema = 1
family = "echo"
title = "Mine"
summary = "Repeats"
task = "echo"
license = "MIT"
parameters = 1

[source]
{source}

[build.plain]
format = "plain"
"""
CATALOG = 'schema = 1\n[models.mine]\ndefault = "one"\nvariants = { one = "mine.toml" }\n'
HOOK = """
import zoo

@zoo.hookimpl
def download(recipe, dest):
    if recipe.source.url is None or not recipe.source.url.startswith("warp://"):
        return None
    (dest / "voice.txt").write_text("{}\\n")
    return dest

class Echo(zoo.Model):
    def __call__(self, text):
        return text

@zoo.hookimpl
def run(artifact):
    return Echo()
"""


@pytest.fixture
def mine(sandbox):
    """A way to have a model in the user's own catalog."""
    sandbox.echo()

    def write(source: str) -> None:
        sandbox.catalog(CATALOG, mine=RECIPE.format(source=source))

    sandbox.mine = write
    return sandbox


def weights(folder: Path) -> Path:
    folder.mkdir()
    (folder / "voice.txt").write_text("{}\n")
    return folder


@pytest.mark.parametrize("home", [False, True])
def test_a_folder_anywhere_in_the_users_own_catalog(mine, tmp_path, home):
    folder = weights(tmp_path / "weights")
    mine.mine(f'folder = "{"~/weights" if home else folder}"\nfiles = [{VOICE}]')
    done = mine.zoo("run", "mine", "hi", env={"HOME": str(tmp_path)})
    assert done.stdout == "hi\n", done.stderr
    (folder / "voice.txt").write_text("{}!\n")
    done = mine.zoo("pull", "mine", env={"HOME": str(tmp_path)})
    assert done.returncode == 5
    assert "voice.txt has 4 bytes, not 3" in done.stderr


def test_an_unhashed_folder_that_is_edited_is_another_source(mine, tmp_path):
    folder = weights(tmp_path / "weights")
    mine.mine(f'folder = "{folder}"\nfiles = [{{ path = "voice.txt" }}]')
    assert mine.zoo("run", "mine", "hi").stdout == "hi\n"
    (folder / "voice.txt").write_text("{}!\n")
    assert mine.zoo("run", "mine", "hi").stdout == "hi!\n"


def test_a_folder_elsewhere_is_refused_in_the_catalog_of_another(mine):
    recipe = mine.site / "zoo_echo" / "recipes" / "one.toml"
    recipe.write_text(recipe.read_text().replace('folder = "model"', 'folder = "/etc"'))
    refused = mine.zoo("pull", "echo")
    assert refused.returncode == 2
    assert "source.folder: must stay beside the recipe, not '/etc'; only your own" in refused.stderr


@pytest.mark.parametrize("name", ["model.whl", "model.zip", "model.tar.gz", "model.tar"])
@pytest.mark.parametrize("files", [f"files = [{VOICE}]", ""])
def test_files_of_an_archive(mine, tmp_path, name, files):
    archive, folder = tmp_path / name, weights(tmp_path / "weights")
    (folder / "other.json").write_text("{}")
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(archive, "w") as made:
            made.write(folder / "voice.txt", "acme/data/voice.txt")
            made.write(folder / "voice.txt", "../evil.txt")
    else:
        with tarfile.open(archive, "w:gz" if name.endswith("gz") else "w") as made:
            made.add(folder / "voice.txt", "acme/data/voice.txt")
            made.add(folder / "voice.txt", "../evil.txt")
    mine.mine(f'url = "{archive}#acme/data"\n{files}')
    done = mine.zoo("run", "mine", "hi")
    assert done.stdout == "hi\n", done.stderr
    assert not list(tmp_path.rglob("evil.txt"))
    assert str(archive) in mine.zoo("show", "mine").stdout


@pytest.mark.parametrize(
    ("content", "source", "code", "words"),
    [
        (b"PK", "", 5, "cannot be read"),
        (None, "", 3, "does not exist"),
        (b"other", f"files = [{VOICE}]", 5, "is not what the recipe pins: 'voice.txt'"),
        (b"other", 'files = [{ path = "none.txt" }]', 3, "has none of the files"),
    ],
)
def test_a_wrong_archive_is_refused_before_it_is_kept(mine, tmp_path, content, source, code, words):
    archive = tmp_path / "model.zip"
    if content == b"PK":
        archive.write_bytes(content)
    elif content is not None:
        with zipfile.ZipFile(archive, "w") as made:
            made.writestr("voice.txt", content)
    mine.mine(f'url = "{archive}"\n{source}')
    refused = mine.zoo("pull", "mine")
    assert refused.returncode == code, refused.stderr
    assert words in refused.stderr
    assert mine.artifacts() == []


def test_an_address_that_a_hook_understands(mine):
    mine.mine(f'url = "warp://shelf/7"\nfiles = [{VOICE}]')
    refused = mine.zoo("pull", "mine")
    assert refused.returncode == 8
    assert "no plugin downloads 'user/mine:one' from warp://shelf/7" in refused.stderr
    mine.echo(HOOK)
    plan = json.loads(mine.zoo("plan", "mine", "--json").stdout)
    assert plan["steps"][0]["provider"] == "zoo-echo 0.3"
    assert mine.zoo("run", "mine", "hi").stdout == "hi\n"


def test_the_first_download_of_an_address_is_pinned(mine):
    mine.mine('url = "warp://shelf/7"\nfiles = [{ path = "voice.txt" }]')
    mine.echo(HOOK)
    assert mine.zoo("pull", "mine").returncode == 0
    mine.zoo("rm", "-y", "user/mine:one")
    mine.echo(HOOK.replace('"{}\\n"', '"other"'))
    refused = mine.zoo("pull", "mine")
    assert refused.returncode == 5
    assert "is not what the recipe pins: 'voice.txt'" in refused.stderr


def test_a_source_is_in_one_place(mine):
    mine.mine('url = "warp://shelf/7"\nfolder = "weights"')
    assert "give one of 'repo', 'folder' and 'url'" in mine.zoo("pull", "mine").stderr
