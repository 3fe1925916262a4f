"""All rules: each is data, a matcher and a source."""

from __future__ import annotations

from zoo.formats.coreml.lint.rule import Rule
from zoo.formats.coreml.lint.rules_fallback import FALLBACK
from zoo.formats.coreml.lint.rules_loading import LOADING
from zoo.formats.coreml.lint.rules_numeric import NUMERIC

RULES: tuple[Rule, ...] = (*NUMERIC, *FALLBACK, *LOADING)
BY_ID = {rule.id: rule for rule in RULES}
