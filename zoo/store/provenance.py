"""Where an artifact comes from, in the forms that others read.

- a model card of the Hugging Face Hub (https://huggingface.co/docs/hub/model-cards);
- a bill of materials of the kind ML-BOM (https://cyclonedx.org/capabilities/mlbom), CycloneDX 1.6;
- a statement of in-toto with the predicate of SLSA provenance v1
  (https://github.com/in-toto/attestation, https://slsa.dev/spec/v1.1/provenance).

All three say what the manifest recorded when the artifact was made, and nothing besides.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from zoo.store.artifacts import Manifest

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
NAMESPACE = uuid.UUID("8d6e7f0c-6a43-4f0e-9a53-5d6a54f4a1d5")
SPDX_WORDS = {
    "Apache-2.0": "apache-2.0", "MIT": "mit", "BSD-3-Clause": "bsd-3-clause",
    "CC-BY-4.0": "cc-by-4.0", "CC0-1.0": "cc0-1.0",
}  # fmt: skip
"""Licenses by the names that model cards have for them; others are called `other` there."""


def model_card(manifest: Manifest) -> str:
    """The README.md of a model repository: front matter for the Hub, text for people."""
    recipe, sources = _recipe(manifest), _sources(manifest)
    license = str(recipe.get("license", ""))
    front = {
        "license": SPDX_WORDS.get(license, "other"),
        **({} if license in SPDX_WORDS else {"license_name": license or "unknown"}),
        "base_model": [s["repo"] for s in sources if s.get("repo")],
        "pipeline_tag": recipe.get("task"),
        "tags": ["zoo", manifest.format, str(recipe.get("family", ""))],
    }
    yaml = "\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items() if value)
    lines = [
        "---", yaml, "---", "", f"# {recipe.get('title', manifest.ref)}", "",
        str(recipe.get("summary", "")), "",
        f"Made from `{manifest.ref}`: {manifest.step} `{manifest.build}`, format "
        f"`{manifest.format}`, on {manifest.created}.", "", "## Source", "",
    ]  # fmt: skip
    for source in sources:
        where = source.get("repo") or source.get("folder")
        lines.append(f"- {where} at {source.get('commit') or 'no commit'}")
        lines += [f"  - `{f['path']}` sha256 `{f['sha256']}`" for f in source["files"]]
    lines += ["", "## Check", "", *_check_lines(manifest), *_lint_lines(manifest)]
    lines += ["", "## Made with", ""]
    lines += [f"- {name} {version or '?'}" for name, version in sorted(_tools(manifest).items())]
    lines += ["", "## Files", ""]
    lines += [f"- `{f.path}` {f.size} bytes, sha256 `{f.sha256}`" for f in manifest.files]
    return "\n".join(lines) + "\n"


def bill_of_materials(manifest: Manifest) -> dict[str, Any]:
    """A CycloneDX 1.6 document: the model, its files, the sources, and the tools."""
    recipe = _recipe(manifest)
    model = {
        "type": "machine-learning-model",
        "bom-ref": manifest.key,
        "name": manifest.ref,
        "version": manifest.key.rpartition("-")[2],
        "description": str(recipe.get("summary", "")),
        "licenses": [{"license": _license(str(recipe.get("license", "")))}],
        "modelCard": {
            "modelParameters": {
                "task": str(recipe.get("task", "")),
                "architectureFamily": str(recipe.get("family", "")),
            },
            "quantitativeAnalysis": {
                "performanceMetrics": [
                    {"type": name, "value": value} for name, value in _figures(manifest).items()
                ]
            },
        },
        "components": [_file(f.path, f.sha256, f"{manifest.key}/{f.path}") for f in manifest.files],
    }
    if properties := _lint_properties(manifest):
        model["properties"] = properties
    sources = [_source_component(manifest, n, s) for n, s in enumerate(_sources(manifest))]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, manifest.key + manifest.created)}",
        "version": 1,
        "metadata": {
            "timestamp": manifest.created,
            "component": model,
            "tools": {
                "components": [
                    {"type": "application", "name": name, "version": version or "unknown"}
                    for name, version in sorted(_tools(manifest).items())
                ]
            },
        },
        "components": sources,
        "dependencies": [
            {"ref": manifest.key, "dependsOn": [source["bom-ref"] for source in sources]}
        ],
    }


def statement(manifest: Manifest) -> dict[str, Any]:
    """An in-toto statement: these files were made from those, so, by this."""
    return {
        "_type": STATEMENT,
        "subject": [{"name": f.path, "digest": {"sha256": f.sha256}} for f in manifest.files],
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:zoo:build:v1",
                "externalParameters": {
                    "ref": manifest.ref,
                    "step": manifest.step,
                    "build": manifest.build,
                    "format": manifest.format,
                    "options": manifest.origin.get("build", {}),
                },
                "internalParameters": {"inputs": manifest.inputs, "origin": manifest.origin},
                "resolvedDependencies": [
                    {"uri": _uri(source, f["path"]), "digest": {"sha256": f["sha256"]}}
                    for source in _sources(manifest)
                    for f in source["files"]
                ],
            },
            "runDetails": {
                "builder": {"id": "urn:zoo:builder", "version": _tools(manifest)},
                "metadata": {"invocationId": manifest.key, "finishedOn": manifest.created},
                "byproducts": [{"name": "check", "annotations": manifest.check or {}}],
            },
        },
    }


def dump(document: dict[str, Any]) -> bytes:
    """A document as it is written to a file."""
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def _recipe(manifest: Manifest) -> dict[str, Any]:
    found = manifest.origin.get("recipe", {})
    return found if isinstance(found, dict) else {}


def _sources(manifest: Manifest) -> list[dict[str, Any]]:
    """The sources, as far as they are of the form that they are recorded in."""
    found = manifest.origin.get("sources", ())
    listed = [s for s in found if isinstance(s, dict)] if isinstance(found, list | tuple) else []
    return [{**s, "files": [f for f in s.get("files", ()) if _is_file(f)]} for s in listed]


def _is_file(file: Any) -> bool:
    return isinstance(file, dict) and all(isinstance(file.get(k), str) for k in ("path", "sha256"))


def _tools(manifest: Manifest) -> dict[str, str]:
    zoo = {"zoo": str(manifest.origin.get("zoo", "unknown"))}
    return {**zoo, **{name: str(version) for name, version in manifest.tools.items() if version}}


def _check_lines(manifest: Manifest) -> list[str]:
    if manifest.check is None:
        return ["Not run."]
    verdict = f"{manifest.check.get('status')}: {manifest.check.get('reason') or 'as measured'}"
    return [verdict, "", *(f"- {name}: {value}" for name, value in _figures(manifest).items())]


def _lint_lines(manifest: Manifest) -> list[str]:
    """What the lint of a build found, for a model card; nothing where there was none."""
    lint = _lint(manifest)
    if not lint:
        return []
    lines = ["", f"## Lint for {lint.get('target')}", ""]
    for found in lint.get("findings", ()):
        reason = lint.get("accepted", {}).get(found["id"])
        accepted = f"; accepted: {reason}" if reason else ""
        line = f"- {found['id']} ({found['effect']}): {found['title']}, {found['count']} places"
        lines.append(line + accepted)
    return lines if lint.get("findings") else [*lines, "No known fault."]


def _lint(manifest: Manifest) -> dict[str, Any]:
    lint: dict[str, Any] = (manifest.check or {}).get("lint") or {}
    return lint


def _lint_properties(manifest: Manifest) -> list[dict[str, str]]:
    """The same as properties of a bill of materials."""
    lint = _lint(manifest)
    if not lint:
        return []
    made = [{"name": "zoo:lint:target", "value": str(lint.get("target"))}]
    for found in lint.get("findings", ()):
        made.append({"name": f"zoo:lint:{found['effect']}", "value": found["id"]})
    for rule, reason in lint.get("accepted", {}).items():
        made.append({"name": f"zoo:lint:accepted:{rule}", "value": reason})
    return made


def _figures(manifest: Manifest) -> dict[str, str]:
    """What its check measured, as text; a figure that was not to be had is left out."""
    metrics = (manifest.check or {}).get("metrics") or {}
    return {name: f"{value:g}" for name, value in metrics.items() if value is not None}


def _license(name: str) -> dict[str, str]:
    return {"name": name or "unknown"} if name not in SPDX_WORDS else {"id": name}


def _file(path: str, sha256: str, ref: str) -> dict[str, Any]:
    hashes = [{"alg": "SHA-256", "content": sha256}]
    return {"type": "file", "bom-ref": ref, "name": path, "hashes": hashes}


def _source_component(manifest: Manifest, number: int, source: dict[str, Any]) -> dict[str, Any]:
    ref = f"{manifest.key}/source-{number}"
    made = {
        "type": "machine-learning-model",
        "bom-ref": ref,
        "name": str(source.get("repo") or source.get("folder") or source.get("url") or "unknown"),
        "version": str(source.get("commit") or "unpinned"),
        "components": [
            _file(f["path"], f["sha256"], f"{ref}/{f['path']}") for f in source["files"]
        ],
    }
    if source.get("repo") and source.get("commit"):
        made["purl"] = f"pkg:huggingface/{source['repo']}@{source['commit']}"
    return made


def _uri(source: dict[str, Any], path: str) -> str:
    if source.get("repo"):
        return f"hf://{source['repo']}@{source.get('commit') or source.get('branch')}/{path}"
    if source.get("url"):
        return f"{source['url']}#{path}"
    return f"file:{source.get('folder')}/{path}"
