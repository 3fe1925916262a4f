"""The lines of requirements that are read without `packaging`, held against what it reads."""

import sys
from importlib import metadata
from itertools import product

import pytest
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from zoo.registry.requirement_line import fits, read_line

EXTRAS = ("", "all", "mlx", "Core.ML", "core-ml")
LINES = (
    "torch",
    "torch >=2, <3",
    "torch>=2,<3; extra == 'all'",
    'zoo-ml[mlx,coreml] ; extra == "mlx"',
    "zoo_ml[mlx]",
    "torch[]",
    "torch>=2;extra=='all'",
    "torch (>=2)",
    "torch ~=2.1",
    "torch===2.1",
    "torch!=2.*",
    "torch==2.1rc1",
    "torch @ https://example.com/torch.whl",
    "torch==9.0.*; extra == 'core_ml'",
    f"torch; sys_platform == '{sys.platform}' and extra == 'all'",
    f"torch; (sys_platform == '{sys.platform}') and (extra == 'all')",
    "torch; sys_platform == 'win32' and extra == 'all'",
    "torch; extra == 'all' and extra == 'mlx'",
    "torch; extra == 'all' or extra == 'mlx'",
    "torch; (extra == 'all' or extra == 'mlx') and extra == 'mlx'",
    "torch; platform_system == 'Linux'",
    "torch; python_version >= '3.11'",
    "torch; extra != 'all'",
    "torch; 'all' == extra",
    "torch, >=2",
    "torch>=2,",
    "torch>=2,>=2",
    "torch>=2,,<3",
    "torch >=2 <3",
    "torch; extra",
    "torch;",
    ">=2",
    "",
)
INSTALLED = sorted({line for dist in metadata.distributions() for line in dist.requires or ()})
VERSIONS = ("2", "2.0", "2.0.0", "2.0.1", "2.1", "2.13.0+cpu", "3", "3.0rc1", "1!2", "2.0.post1")
WANTED = (
    ">=2", ">=2.0.1", "<3", "<3,>=2.1", "==2", "==2.0.0", "==2.*", "==2.0.*", "==2.0.0.0.*", "!=2",
    "~=2.0", ">2", "<=2.0", "==2.13.0+cpu", ">=3.0a1",
)  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_line_means_what_packaging_reads(line):
    assert ours(line) == theirs(line)


def test_every_line_of_what_is_installed_means_what_packaging_reads():
    assert len(INSTALLED) > 100
    assert [ours(line) for line in INSTALLED] == [theirs(line) for line in INSTALLED]


@pytest.mark.parametrize(("version", "wanted"), product(VERSIONS, WANTED))
def test_a_version_will_do_where_packaging_says_so(version, wanted):
    assert fits(version, wanted) == SpecifierSet(wanted).contains(version, prereleases=True)


def test_common_lines_need_no_packaging(monkeypatch):
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    monkeypatch.setitem(sys.modules, "packaging.specifiers", None)
    mine = read_line("torch[gpu]>=2.8,<3; extra == 'mlx'")
    assert mine[:3] == ("torch", ("gpu",), "<3,>=2.8")
    assert mine.holds("mlx")
    assert not mine.holds("")
    assert fits("2.13.0+cpu", mine.wanted)
    assert not fits("2.7", mine.wanted)


def test_versions_that_nobody_can_read_will_do():
    assert fits("2.0", "about two")


def ours(line):
    try:
        made = read_line(line)
    except ValueError:
        return None
    return made.name, made.extras, made.wanted, [made.holds(extra) for extra in EXTRAS]


def theirs(line):
    try:
        made = Requirement(line)
    except InvalidRequirement:
        return None
    marker = made.marker
    holds = [marker is None or marker.evaluate({"extra": extra}) for extra in EXTRAS]
    return made.name, tuple(sorted(made.extras)), str(made.specifier), holds
