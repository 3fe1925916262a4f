"""The chat template of a checkpoint: which one it is, and what it makes of messages."""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import InputError

RENDER = Path(__file__).with_name("render.py")
SECONDS = 20
PLAIN = "use generate with a plain prompt"
"""Most that a template takes, with the start of its process; the machine may be busy."""

TEMPLATE_FILE = "chat_template.jinja"
NAMED_FOLDER = "additional_chat_templates"
DEFAULT = "default"
LARGEST = 2_000_000


class ChatTemplate:
    """The templates of a checkpoint folder, by name; those in files before those in the config.

    Args:
        folder: the checkpoint.
        config: its `tokenizer_config.json`.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self.templates = _in_config(config.get("chat_template")) | _in_files(folder)
        self._prepared: _Renderer | None = None

    def prepare(self) -> None:
        """Start the process of the first `render` now, while the weights are loaded."""
        if self and self._prepared is None:
            self._prepared = _Renderer()

    def __bool__(self) -> bool:
        return bool(self.templates)

    @property
    def is_clear(self) -> bool:
        """Whether it is clear which template a chat takes."""
        return DEFAULT in self.templates or len(self.templates) == 1

    def render(self, messages: Sequence[Mapping[str, Any]], special: Mapping[str, str]) -> str:
        """The text of a chat, up to where the assistant begins to speak.

        Args:
            messages: the turns.
            special: the special tokens that the template may write, such as `bos_token`.

        Raises:
            InputError: there is no template or none to choose, it refuses the messages, takes
                too long, or says nothing.
        """
        values = {"messages": list(messages), "add_generation_prompt": True, **special}
        template, prepared = self._chosen(), self._prepared
        self._prepared = None
        if prepared is None or not prepared.waits:
            prepared = _Renderer()
        text = prepared.run(template, values)
        if not text:
            raise InputError(
                "the chat template returns no text for the messages",
                "use --raw with a plain prompt",
                in_python=PLAIN,
            )
        return text

    def _chosen(self) -> str:
        if not self.templates:
            raise InputError(
                "the model has no chat template", "use --raw with a plain prompt", in_python=PLAIN
            )
        if DEFAULT in self.templates:
            return self.templates[DEFAULT]
        if len(self.templates) > 1:
            names = ", ".join(f"'{name[:40]}'" for name in sorted(self.templates))
            raise InputError(
                f"the model has several chat templates and none is called '{DEFAULT}': {names}",
                f"write the one that is meant to {self.folder / TEMPLATE_FILE}, or use --raw",
                in_python=f"write the one meant to {self.folder / TEMPLATE_FILE}, or {PLAIN}",
            )
        return next(iter(self.templates.values()))


class _Renderer:
    """A process of `render.py`, which waits for its template."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(RENDER)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._end = weakref.finalize(self, _end, self._process)

    @property
    def waits(self) -> bool:
        return self._process.poll() is None

    def run(self, template: str, values: dict[str, Any]) -> str:
        """The text of a template; the process ends with it."""
        try:
            given = json.dumps({"template": template, "values": values})
        except (TypeError, ValueError) as error:
            raise InputError(f"the messages cannot be written as JSON: {error}") from error
        try:
            output, errors = self._process.communicate(given.encode(), timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise InputError(f"the chat template was ended after {SECONDS} seconds") from None
        finally:
            self._end()
        try:
            answer = json.loads(output)
        except (ValueError, RecursionError):
            last = errors.decode(errors="replace").strip().rpartition("\n")[2][:200]
            why = "it takes too much time or memory" if self._process.returncode < 0 else last
            raise InputError(f"the chat template could not be run: {why}") from None
        if "error" in answer:
            raise InputError(f"the chat template refuses the messages: {answer['error']}")
        return str(answer["text"])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with process:  # closes its pipes and waits for its end
        pass


def _in_config(found: Any) -> dict[str, str]:
    if isinstance(found, str):
        return {DEFAULT: found}
    templates = {}
    for entry in found if isinstance(found, list) else ():
        name, text = (
            (entry.get(k) for k in ("name", "template")) if isinstance(entry, dict) else ("", "")
        )
        if isinstance(name, str) and isinstance(text, str):
            templates[name] = text
    return templates


def _in_files(folder: Path) -> dict[str, str]:
    found = {path.stem: path for path in sorted((folder / NAMED_FOLDER).glob("*.jinja"))}
    if (folder / TEMPLATE_FILE).is_file():
        found[DEFAULT] = folder / TEMPLATE_FILE
    templates = {}
    for name, path in found.items():
        try:
            if path.stat().st_size > LARGEST:
                raise InputError(f"{path} has over {LARGEST:,} bytes")
            templates[name] = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
    return templates
