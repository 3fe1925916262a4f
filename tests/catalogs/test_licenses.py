"""Licenses in words: each of the shipped catalog is summarized, and no stranger's is vouched for."""

from __future__ import annotations

import pytest

from zoo.api import catalog
from zoo.catalogs.licenses import license_of


def test_every_license_of_the_shipped_catalog_is_in_words() -> None:
    used = {x.recipe.license for x in catalog() if x.recipe}
    assert len(used) > 5
    assert not [id for id in used if license_of(id).commercial == "unknown"]


@pytest.mark.parametrize(
    ("id", "answer", "permissive"),
    [
        ("Apache-2.0", "Commercial use allowed", True),
        ("apache-2.0", "Commercial use allowed", True),
        ("LicenseRef-CreativeML-OpenRAIL-M", "Commercial use on terms", False),
        ("LicenseRef-Mistral-AI-Research-License", "No commercial use", False),
        ("LicenseRef-Acme-Eternal", "Read the license", False),
    ],
)
def test_whether_an_app_may_ship_it(id: str, answer: str, permissive: bool) -> None:
    assert (license_of(id).answer, license_of(id).permissive) == (answer, permissive)


def test_an_unknown_license_is_shown_by_its_name() -> None:
    assert license_of("LicenseRef-Acme-Eternal").name == "Acme Eternal"
