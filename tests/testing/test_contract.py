"""The contract is held against plugins that are each wrong in exactly one way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from zoo.testing import FamilyContract, tiny, write_tokenizer
from zoo.testing.contract.claim import outcomes
from zoo.testing.contract.subject import Subject
from zoo.testing.contract.suites import claims_of_pair

RIGHT = """
import zoo
from zoo.formats import Tensors, copy_text_files
from zoo.tasks import Tokenizer


class Bigram(zoo.TextModel):
    def __init__(self, folder):
        super().__init__(Tokenizer(folder), context=64)
        import numpy as np

        self.table = np.load(folder / "table.npy")

    @property
    def vocabulary(self):
        return len(self.table)

    def logits(self, tokens):
        self.require_open()
        self.require_tokens(tokens)
        return self.table[list(tokens)]

    def tokens(self, prompt, sampling):
        self.require_open()
        import numpy as np

        random = np.random.default_rng(sampling.seed)
        last = prompt[-1]
        for _ in range(sampling.max_tokens):
            scores = self.table[last]
            if sampling.temperature:
                scores = scores / sampling.temperature + random.gumbel(size=len(scores))
            last = int(scores.argmax())
            yield last


@zoo.hookimpl
def convert(source, workdir, progress):
    import numpy as np

    table = Tensors(source).read("table")
    np.save(workdir / "table.npy", table)
    copy_text_files(source, workdir)
    progress.update(1, 1, "tables")
    return workdir


@zoo.hookimpl
def run(artifact):
    return Bigram(artifact)
"""

BEGIN = "import zoo\n"
IN_CONVERT = "    table = Tensors(source)"
IN_RUN = "    return Bigram(artifact)"
LOGITS = "        return self.table[list(tokens)]"
ANNOTATE = "\n\n@zoo.hookimpl\ndef annotate(folder, verdict):\n    {}\n    return folder\n"
FIGURES = """
    file = folder / "tokenizer.json"
    file.write_text(file.read_text() + " " * {})"""
OPTIMIZE = "\n\n@zoo.hookimpl\ndef optimize(converted):\n    return converted\n"
CONNECT = """
    import socket
    try:
        socket.create_connection(("huggingface.co", 443))
    except OSError:
        pass
"""
TEMPORARY = """
    import tempfile
    with tempfile.TemporaryDirectory():
        progress.update(0, 1, "tables")
"""

IN_A_PROCESS = ("light_import", "quiet_import")
"""Claims that start one: tried only on plugins that are wrong there."""

WRONG = {
    "framework at import": ("light_import", BEGIN, "import numpy\nimport zoo\n"),
    "prints at import": ("quiet_import", BEGIN, "import zoo\nprint('hello')\n"),
    "unknown hook": ("signatures", "def convert(", "def covert("),
    "prints in a hook": ("quiet", IN_CONVERT, "    print('at work')\n" + IN_CONVERT),
    "forgotten return": ("builds", "    return workdir\n", ""),
    "another kind of model": ("runs", IN_RUN, "    return object()"),
    "writes into the source": ("leaves_alone", IN_CONVERT, "    (source / 'x').touch()\n" + IN_CONVERT),
    "writes into the working folder": (
        "leaves_alone", IN_CONVERT, "    open('log.txt', 'w').close()\n" + IN_CONVERT
    ),
    "writes beside its folder": (
        "leaves_alone", IN_CONVERT, "    (workdir.parent / 'x').touch()\n" + IN_CONVERT
    ),
    "writes into the build": ("leaves_alone", IN_RUN, "    (artifact / 'seen').touch()\n" + IN_RUN),
    "asks the network": ("offline", IN_RUN, CONNECT + IN_RUN),
    "writes the time": (
        "same_bytes_twice", IN_CONVERT,
        "    import time\n    (workdir / 'at').write_text(str(time.time_ns()))\n" + IN_CONVERT,
    ),
    "links out of the build": (
        "whole", IN_CONVERT, "    (workdir / 'name').symlink_to('/etc/hostname')\n" + IN_CONVERT
    ),
    "stops halfway": ("progress_ends", "progress.update(1, 1", "progress.update(1, 2"),
    "fails in its own way": (
        "damaged_source_refused", IN_CONVERT,
        "    import safetensors.numpy as s\n    s.load_file(source / 'model.safetensors')\n" + IN_CONVERT,
    ),
    "takes every pass": ("strange_pass_refused", IN_RUN, IN_RUN + OPTIMIZE),
    "adds a file of figures": (
        "annotated", IN_RUN, IN_RUN + ANNOTATE.format("(folder / 'figures').write_text('0.5')")
    ),
    "returns no folder": ("annotated", IN_RUN, IN_RUN + ANNOTATE.format("return verdict")),
    "figures with the time": (
        "annotated", IN_RUN,
        IN_RUN + ANNOTATE.format(FIGURES.format("(__import__('time').time_ns() // 1000 % 997)")),
    ),
    "random logits": (
        "no_state_between_calls logits_of_a_prefix greedy_is_the_argmax", LOGITS,
        LOGITS + " * 0 + __import__('numpy').random.default_rng().random(len(self.table)).astype('f4')",
    ),
    "closes once": (
        "closes_twice", "    @property", "    def close(self):\n        super().close()\n        del self.table\n\n    @property"
    ),
    "answers when it is closed": ("closed_refuses", "        self.require_open()\n        import numpy", "        import numpy"),
    "takes any adapter": (
        "adapters_there_and_back", "    @property", "    def use(self, adapter):\n        self.adapter = adapter\n\n    @property"
    ),
    "float64": ("logits_are_float32", LOGITS, LOGITS + ".astype('f8')"),
    "looks ahead": ("logits_of_a_prefix greedy_is_the_argmax", LOGITS, LOGITS + " + len(tokens) * self.table[0]"),
    "unlikeliest token": ("greedy_is_the_argmax", "            last = int(scores.argmax())", "            last = int(scores.argmax() if sampling.temperature else scores.argmin())"),
    "one token more": ("max_tokens_kept", "range(sampling.max_tokens)", "range(sampling.max_tokens + 1)"),
    "ignores the seed": ("seed_repeats", "default_rng(sampling.seed)", "default_rng()"),
    "ignores the temperature": ("temperature_samples", "if sampling.temperature:", "if False:"),
    "remembers": (
        "no_state_between_calls", LOGITS,
        "        self.seen = getattr(self, 'seen', 0) + 1e-3\n        return self.table[list(tokens)] + type(self.table[0, 0])(self.seen)",
    ),
    "one stream for all": (
        "abandoned_stream", "        last = prompt[-1]\n", "        self.last = last = prompt[-1]\n        table = self.table\n"
    ),
    "takes any token": ("strange_tokens_refused", "        self.require_tokens(tokens)\n        return self.table[list(tokens)]", "        return self.table[[t % len(self.table) for t in tokens]]"),
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bigram")
    table = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32) * 3
    save_file({"table": table}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"model_type": "bigram"}')
    write_tokenizer(folder)
    return folder


def install(distribution, code: str, name: str = "right", **options) -> None:
    modules = {f"zoo_bigram_{name}.py": code}
    entries = {"zoo.families": {"bigram.plain": f"zoo_bigram_{name}"}}
    distribution(f"zoo-bigram-{name}", modules, entries, **options)


def tried(source: Path, *, slow: bool = False, without=()) -> dict[str, tuple[str, str]]:
    subject = Subject("bigram", "plain", source=source)
    try:
        claims = [c for c in claims_of_pair("text-generation") if c.name not in without]
        return {o.claim: (o.status, o.reason) for o in outcomes(claims, subject, slow=slow)}
    finally:
        subject.close()


def broken(found: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {claim: reason for claim, (status, reason) in found.items() if status == "broken"}


def test_a_right_plugin_keeps_every_claim(source, zoo_distribution, zoo_home):
    install(zoo_distribution, RIGHT + ANNOTATE.format(FIGURES.format("len(verdict.metrics)")))
    found = tried(source, slow=True)
    assert not broken(found)
    assert {c for c, (status, _) in found.items() if status == "not tried"} == {
        "adapters_there_and_back",  # it has none
    }
    assert len(found) > 25


@pytest.mark.parametrize("mistake", WRONG)
def test_a_plugin_that_is_wrong_in_one_way_breaks_that_claim(
    mistake, source, zoo_distribution, zoo_home
):
    claims, before, after = WRONG[mistake]
    assert RIGHT.count(before) == 1 or before == BEGIN
    code = RIGHT.replace(before, after, 1)
    if mistake == "one stream for all":
        code = code.replace("self.table[last]", "table[self.last]")
        code = code.replace(
            "            last = int(scores", "            self.last = last = int(scores"
        )
    install(zoo_distribution, code, str(list(WRONG).index(mistake)))
    without = () if "at import" in mistake else IN_A_PROCESS
    found = broken(tried(source, without=without))
    assert set(found) == set(claims.split()), found
    assert all(reason and "\n" not in reason for reason in found.values())


def test_two_distributions_for_one_pair_are_found(source, zoo_distribution, zoo_home):
    install(zoo_distribution, RIGHT, "one")
    install(zoo_distribution, RIGHT, "two")
    found = broken(tried(source, without=IN_A_PROCESS))
    assert "zoo-bigram-one 0.1 and zoo-bigram-two 0.1" in found["one_distribution"]


def test_what_a_kill_leaves_is_found(source, zoo_distribution, zoo_home):
    install(zoo_distribution, RIGHT.replace(IN_CONVERT, TEMPORARY + IN_CONVERT), "killed")
    found = broken(tried(source, slow=True, without=IN_A_PROCESS))
    assert set(found) == {"killed_leaves_nothing"}
    assert "temporary folder" in found["killed_leaves_nothing"]


def test_a_contract_is_a_class_of_tests():
    class TestMine(FamilyContract):
        family, format, slow = "bigram", "plain", False

    tests = {name for name in dir(TestMine) if name.startswith("test_")}
    claims = claims_of_pair("text-generation")
    assert tests == {f"test_{claim.name}" for claim in claims if not claim.slow}
    assert TestMine.test_seed_repeats.__doc__ == "The same seed samples the same tokens."
    assert not [name for name in dir(FamilyContract) if name.startswith("test_")]


def test_an_author_runs_the_contract_without_pytest(sandbox, source):
    from zoo.testing import install_plugin

    code = RIGHT.replace("progress.update(1, 1", "progress.update(1, 2")
    groups = {
        "zoo.families": {"bigram.plain": "zoo_bigram"},
        "zoo.tiny": {"bigram": "zoo_bigram_tiny:write"},
    }
    copying = f"import shutil\ndef write(folder):\n    shutil.copytree({str(source)!r}, folder, dirs_exist_ok=True)\n"
    modules = {"zoo_bigram.py": code, "zoo_bigram_tiny.py": copying}
    install_plugin(sandbox.site, "zoo-bigram", modules, groups)
    result = sandbox.zoo("plugins", "--contract", "bigram.plain", "--json")
    assert result.returncode == 8, result.stderr
    claims = {c["claim"]: c for c in json.loads(result.stdout)["claims"]}
    assert claims["progress_ends"]["status"] == "broken"
    assert claims["progress_ends"]["reason"] == "convert ends at 1 of 2 tables"
    assert claims["seed_repeats"]["status"] == "kept"
    (sandbox.site / "zoo_bigram.py").write_text(RIGHT)
    result = sandbox.zoo("plugins", "--contract", "bigram.plain")
    assert result.returncode == 0, result.stdout
    assert "same_bytes_twice" in result.stdout


@pytest.mark.parametrize("pair", ["bigram", ".plain", "nothing.here"])
def test_a_pair_that_is_none_is_refused(sandbox, pair):
    result = sandbox.zoo("plugins", "--contract", pair)
    assert result.returncode in (2, 8)
    assert pair in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_any_language_model_of_transformers_has_a_tiny_checkpoint(family, tmp_path):
    folder = tiny(family, tmp_path / family)
    assert json.loads((folder / "config.json").read_text())["model_type"] == family
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000


def test_a_family_that_nobody_knows_has_no_tiny_checkpoint(tmp_path):
    import zoo

    with pytest.raises(zoo.NotFound, match=r"no tiny checkpoint of 'nothing'"):
        tiny("nothing", tmp_path / "nothing")
