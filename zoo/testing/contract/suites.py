"""Contracts as test classes to inherit from, which pytest collects."""

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
    """Return the claims about a family in a format, for a task."""
    return [*INSTALLED, *STEPS, *MODEL, *OF_TASK.get(task, ())]


class Contract:
    """The base class of contracts: a class of tests, one for each claim, on one subject.

    Attributes:
        slow: whether to include tests that start a process of their own.
    """

    slow: ClassVar[bool] = True
    """Whether claims that start a process of their own are tried too."""

    _subject: ClassVar[Any] = None

    @classmethod
    def claims(cls) -> Sequence[Claim]:
        """Return the claims to test."""
        raise NotImplementedError

    @classmethod
    def make_subject(cls) -> Any:
        """Make the subject of the tests, once for the class."""
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
        """Return whether the class names its subject, so that it gets tests."""
        raise NotImplementedError

    @classmethod
    def subject(cls) -> Any:
        """Return the subject of the tests."""
        if "_subject" not in vars(cls) or cls._subject is None:
            cls._subject = cls.make_subject()
        return cls._subject

    @classmethod
    def teardown_class(cls) -> None:
        """Remove the files that the tests made."""
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
    """Tests that every family must pass in a format. Subclass it in a test module.

        class TestLlamaMLX(zoo.testing.FamilyContract):
            family, format = "llama", "mlx"

    By default the tests make a build from a tiny checkpoint, `zoo.testing.tiny(family)`. To replace
    a test that does not apply, define a method of its name.

    Attributes:
        family: the family.
        format: the format.
        recipe: a model to use instead, such as `acme:small`, whose source is a folder.
        build: the name of a build of the recipe; by default the first one in the format.
        source: a checkpoint folder to use instead of a recipe.
        optimize: the passes of the build, without a recipe.
        options: the options of the build, without a recipe.
        task: the task of the model.
        example: the input to call the model with, for a task that zoo does not include.
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
    """Tests that every format must pass, on one family. Subclass it in a test module.

        class TestNpz(zoo.testing.FormatContract):
            family, format = "mistral", "npz"
            optimize = [{"kind": "round", "bits": 8}]

    It includes the tests of `FamilyContract` and has the same attributes.
    """

    @classmethod
    def claims(cls) -> Sequence[Claim]:
        return [*FORMAT, *super().claims()]


class TaskContract(Contract):
    """Tests that every task must pass. Subclass it in a test module.

        class TestEmbedding(zoo.testing.TaskContract):
            task = "sentence-embedding"

            @staticmethod
            def load():
                return zoo.load("acme/minilm:tiny")

    Attributes:
        task: the name of the task.
        load: loads a model of the task, for the tests that call one.
        example: the input of the model, as given to `zoo run`.
        inputs: input files for `measure`.
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
