"""Licenses in words: whether an app may ship the model, and on what terms.

A summary for choosing, not legal advice: the text of the license decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from zoo.catalogs.recipe import Recipe

Commercial = Literal["yes", "terms", "no", "unknown"]

ANSWERS: dict[Commercial, str] = {
    "yes": "Commercial use allowed",
    "terms": "Commercial use on terms",
    "no": "No commercial use",
    "unknown": "Read the license",
}
"""Whether an app that is sold may ship the model, in a few words."""


class License(NamedTuple):
    """What a license allows.

    Attributes:
        id: the SPDX identifier, or `LicenseRef-...`.
        name: a short name, such as `OpenRAIL++-M`.
        commercial: whether an app that is sold may ship the model: `yes`, on `terms` beyond a
            notice, `no`, or `unknown`.
        words: what it asks for, in a sentence or two.
        url: where its text is; empty when not known.
    """

    id: str
    name: str
    commercial: Commercial
    words: str
    url: str = ""

    @property
    def permissive(self) -> bool:
        """Whether it asks for no more than a notice."""
        return self.commercial == "yes"

    @property
    def answer(self) -> str:
        """Whether an app that is sold may ship the model, in a few words."""
        return ANSWERS[self.commercial]


NOTICE = "You may use, change and sell it. Ship the license text with it"
RAIL = (
    "You may use, change and sell it, except for the uses that its attachment A forbids. "
    "Pass these restrictions on to your users."
)


def _spdx(id: str, name: str, commercial: Commercial, words: str) -> License:
    """A license whose text is on the site of SPDX."""
    return License(id, name, commercial, words, f"https://spdx.org/licenses/{id}.html")


_KNOWN = (
    _spdx("Apache-2.0", "Apache 2.0", "yes", f"{NOTICE}, and say what you changed."),
    _spdx("MIT", "MIT", "yes", f"{NOTICE}."),
    _spdx("BSD-2-Clause", "BSD 2-Clause", "yes", f"{NOTICE}."),
    _spdx("BSD-3-Clause", "BSD 3-Clause", "yes", f"{NOTICE}."),
    _spdx("CC0-1.0", "CC0", "yes", "You may do anything with it."),
    _spdx("CC-BY-4.0", "CC BY 4.0", "yes", "You may use, change and sell it. Name its authors."),
    _spdx("CC-BY-SA-4.0", "CC BY-SA 4.0", "terms",
          "You may use and sell it. Name its authors, and share changes under the same license."),
    _spdx("CC-BY-NC-4.0", "CC BY-NC 4.0", "no", "No commercial use. Name its authors."),
    License("LicenseRef-CreativeML-OpenRAIL-M", "OpenRAIL-M", "terms", RAIL,
            "https://huggingface.co/spaces/CompVis/stable-diffusion-license"),
    License("LicenseRef-CreativeML-OpenRAIL-PlusPlus-M", "OpenRAIL++-M", "terms", RAIL,
            "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md"),
    License("LicenseRef-Fair-AI-Public-License-1.0-SD", "Fair AI Public 1.0-SD", "terms",
            "You may use and sell it. Publish changed weights under the same license, also when "
            "you only offer them as a service, and pass its use restrictions on.",
            "https://freedevproject.org/faipl-1.0-sd/"),
    License("LicenseRef-Playground-v2.5-Community", "Playground Community", "terms",
            "Commercial use is allowed up to a number of monthly active users that the license "
            "states. Its outputs must not train other models.",
            "https://huggingface.co/playgroundai/playground-v2.5-1024px-aesthetic/blob/main/LICENSE.md"),
    License("LicenseRef-Stability-AI-Community", "Stability AI Community", "terms",
            "Free below the yearly revenue that the license states, after registration. Above it "
            "you need an enterprise license.",
            "https://stability.ai/license"),
    License("LicenseRef-Mistral-AI-Research-License", "Mistral Research", "no",
            "For research only. Commercial use needs an agreement with Mistral AI.",
            "https://mistral.ai/licenses/MRL-0.1.md"),
    License("LicenseRef-Mistral-AI-Non-Production-License", "Mistral Non-Production", "no",
            "For research and tests only. Use in production needs an agreement with Mistral AI.",
            "https://mistral.ai/licenses/MNPL-0.1.md"),
    License("LicenseRef-apple-sample-code-license", "Apple Sample Code", "terms",
            "You may use, change and redistribute it with Apple's notice. It grants no patent "
            "rights. Read it before you ship.",
            "https://huggingface.co/apple/OpenELM/blob/main/LICENSE"),
)  # fmt: skip
LICENSES = {license.id.lower(): license for license in _KNOWN}


def license_of(id: str) -> License:
    """What is known of a license; for any other, its name alone.

    Args:
        id: the SPDX identifier of a recipe, or `LicenseRef-...`.
    """
    if known := LICENSES.get(id.lower()):
        return known
    name = id.removeprefix("LicenseRef-").replace("-", " ")
    return License(id, name, "unknown", "Its terms are not summarized here. Read them.")


def terms_of(recipe: Recipe) -> str | None:
    """A sentence about a license that asks for more than a notice; `None` for others."""
    license = license_of(recipe.license)
    if license.commercial in ("yes", "unknown"):
        return None
    where = f": {license.url}" if license.url else ""
    return f"'{recipe.ref}' has the license {license.name}. {license.words}{where}"
