"""A lint report in SARIF 2.1.0, which code hosts and editors show (OASIS, sarif-v2.1.0)."""

from __future__ import annotations

from typing import Any

from zoo.reports.findings import LintReport

LEVELS = {"silent": "error", "refused": "error", "slow": "warning", "note": "note"}
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def to_sarif(report: LintReport, uri: str, version: str) -> dict[str, Any]:
    """The report as a SARIF document.

    Args:
        report: the findings.
        uri: what was linted: a path, or the name of a build.
        version: of zoo.
    """
    used = {finding.id: finding for finding in report.findings}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "zoo lint",
                        "version": version,
                        "rules": [
                            {
                                "id": rule.id,
                                "shortDescription": {"text": rule.title},
                                "fullDescription": {"text": f"{rule.outcome} {rule.remedy}"},
                                "helpUri": rule.source,
                                "defaultConfiguration": {"level": LEVELS[rule.effect]},
                            }
                            for rule in used.values()
                        ],
                    }
                },
                "results": [
                    {
                        "ruleId": finding.id,
                        "level": LEVELS[finding.effect],
                        "message": {"text": f"{finding.title}: {finding.outcome}"},
                        "locations": [
                            {
                                "physicalLocation": {"artifactLocation": {"uri": uri}},
                                "logicalLocations": [
                                    {
                                        "name": place.op,
                                        "fullyQualifiedName": f"{finding.package}/"
                                        f"{finding.function}/{place.op}",
                                    }
                                ],
                            }
                            for place in finding.places[:10]
                        ],
                    }
                    for finding in report.findings
                ],
            }
        ],
    }
