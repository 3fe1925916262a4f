"""Contracts as classes of tests, to be inherited from; pytest collects what inherits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from zoo.testing.contract.claim import Claim
from zoo.testing.contract.format import FORMAT
from zoo.testing.contract.installed import INSTALLED
from zoo.testing.contract.model import MODEL
from zoo.testing.contract.pictures import PICTURES
from zoo.testing.contract.speech import SPEECH
from zoo.testing.contract.steps import STEPS
from zoo.testing.contract.subject import Subject
from zoo.testing.contract.task import TASK, TaskSubject
from zoo.testing.contract.text import TEXT

OF_TASK = {
    "text-generation": TEXT,
    "automatic-speech-recognition": SPEECH,
    "text-to-image": PICTURES,
}
"""The claims about models of a task."""


def claims_of_pair(task: str) -> list[Claim]:
    """The claims about a family in a format, for a task."""
    return [*INSTALLED, *STEPS, *MODEL, *OF_TASK.get(task, ())]


class Contract:
    """What the contracts have in common: a test for each claim, on one subject."""

    slow: ClassVar[bool] = True
    """Whether claims that start a process of their own are tried too."""

    _subject: ClassVar[Any] = None

    @classmethod
    def claims(cls) -> Sequence[Claim]:
        """The claims that are tried."""
        raise NotImplementedError

    @classmethod
    def make_subject(cls) -> Any:
        """What they are tried on; it is made once."""
        raise NotImplementedError

    def __init_subclass__(cls, **extra: Any) -> None:
        super().__init_subclass__(**extra)
        if not cls.ready():
            return
        for claim in cls.claims():
            name = f"test_{claim.name}"
            if not hasattr(cls, name) and (cls.slow or not claim.slow):
                setattr(cls, name, _test(claim))

    @classmethod
    def ready(cls) -> bool:
        """Whether the class says what it is about, or is still abstract."""
        raise NotImplementedError

    @classmethod
    def subject(cls) -> Any:
        """What the claims are tried on."""
        if "_subject" not in vars(cls) or cls._subject is None:
            cls._subject = cls.make_subject()
        return cls._subject

    @classmethod
    def teardown_class(cls) -> None:
        """Remove what was made."""
        found, cls._subject = vars(cls).get("_subject"), None
        if found is not None:
            found.close()


def _test(claim: Claim) -> Callable[[Contract], None]:
    def test(self: Contract) -> None:
        claim.keep(self.subject())

    test.__doc__ = claim.promise
    test.__name__ = f"test_{claim.name}"
    return test


class FamilyContract(Contract):
    """The contract of a family in one format.

        class TestLlamaMLX(zoo.testing.FamilyContract):
            family, format = "llama", "mlx"

    Attributes:
        family, format: the pair.
        recipe: the model whose build is made, such as `acme:small`; its source is a folder. By
            default the build is that of a tiny checkpoint, `zoo.testing.tiny(family)`.
        build: the name of a build of the recipe; by default the first one in the format.
        source: a checkpoint folder, in place of a recipe.
        optimize: the passes of the build, where there is no recipe.
        options: the options of the build, likewise.
        task: the task of the model.
        example: what the model is called with, for a task that is not one of zoo's.

    A test of a claim that a family cannot keep is replaced by a method of its name.
    """

    family: ClassVar[str] = ""
    format: ClassVar[str] = ""
    recipe: ClassVar[str | None] = None
    build: ClassVar[str | None] = None
    source: ClassVar[Path | None] = None
    optimize: ClassVar[Sequence[Mapping[str, Any]]] = ()
    options: ClassVar[Mapping[str, Any]] = {}
    task: ClassVar[str] = "text-generation"
    example: ClassVar[Any] = None

    @classmethod
    def ready(cls) -> bool:
        return bool(cls.family and cls.format)

    @classmethod
    def claims(cls) -> Sequence[Claim]:
        return claims_of_pair(cls.task)

    @classmethod
    def make_subject(cls) -> Subject:
        return Subject(
            cls.family,
            cls.format,
            recipe=cls.recipe,
            build=cls.build,
            source=cls.source,
            optimize=cls.optimize,
            options=cls.options,
            task=cls.task,
            example=cls.example,
        )


class FormatContract(FamilyContract):
    """The contract of a format, tried on one family; the attributes are those of `FamilyContract`.

    class TestNpz(zoo.testing.FormatContract):
        family, format = "mistral", "npz"
        optimize = [{"kind": "round", "bits": 8}]
    """

    @classmethod
    def claims(cls) -> Sequence[Claim]:
        return [*FORMAT, *super().claims()]


class TaskContract(Contract):
    """The contract of a task.

        class TestEmbedding(zoo.testing.TaskContract):
            task = "sentence-embedding"

            @staticmethod
            def load():
                return zoo.load("acme/minilm:tiny")

    Attributes:
        task: the name of the task.
        load: makes a model of it, for the claims that call one.
        example: the input that the model is given, as `zoo run` gets it.
        inputs: files that the check of the task measures.
    """

    task: ClassVar[str] = ""
    load: ClassVar[Callable[[], Any] | None] = None
    example: ClassVar[str] = "the sun is red"
    inputs: ClassVar[Sequence[Path]] = ()

    @classmethod
    def ready(cls) -> bool:
        return bool(cls.task)

    @classmethod
    def claims(cls) -> Sequence[Claim]:
        return TASK

    @classmethod
    def make_subject(cls) -> TaskSubject:
        return TaskSubject(cls.task, load=cls.load, example=cls.example, inputs=cls.inputs)
