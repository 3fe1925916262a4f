"""`zoo show`: everything known about a model before anything is fetched.

JSON: {ref, title, summary, task, family, license,
terms: {name, commercial, answer, words, url}, gated, chat, languages, language_names, tags,
parameters, dtypes, context, url,
source: {repo, folder, revision, branch, pinned, bytes, exact, files: [{path, size, sha256}]},
tokenizer: the same without bytes and exact, or null when the source brings it,
adapters: {name: the same without bytes and exact},
builds: [{name, format, optimize: [{kind, options}], minimum_os, target, bits_per_weight, bytes,
stored_bytes, memory_bytes, fits, default, installed, made, limits, check, lint, words,
offered_by, compression}],
refused: {build: message},
check: {inputs, limits, recorded} or null, metrics: {name: {meaning, better}}, run,
commands: {shell, python, swift}}.
`dtypes` is null but for a folder or repository of your own: {type: elements}, from its headers.
`bytes` of a source is an estimate unless `exact`; of a build it always is, and `stored_bytes` is
what an installed one takes. `commercial` is yes, terms, no or unknown. `compression` is null but
for the build that is asked for, `NAME/BUILD`, once it is installed: {bits_per_weight, entries:
{weight: {shape, scheme, bits}}, skipped: {weight: reason}, figures, layers: {weight: bits}}.
`offered_by` is the plugin that adds a build to the recipe, or the user's builds.toml; null for the
recipe's own. `refused` has builds that are offered and cannot be used. `target` is what the build
is linted for, or null. `lint` is null but for an installed build with a lint: {target, system,
findings: [{id, title, effect, count}], accepted: {id: reason}, failed: [id]}.
"""

from __future__ import annotations

import click

from zoo.cli import model_document, model_page, options, output
from zoo.cli.lookup import look_up, look_up_failed
from zoo.tasks.registry import problem_of


@click.command(name="show")
@options.model
@options.family
@options.as_json
def command(name: str, family: str | None, as_json: bool) -> None:
    """Show a model's license, files, builds and check."""
    recipe, build, stored = look_up(name, family)
    failed = look_up_failed(recipe, name, family)
    data = model_document.describe(recipe, build, stored, failed)
    if as_json:
        output.document(data)
    else:
        model_page.show(data, build)
    if problem := problem_of(recipe.task):
        output.note(f"this model cannot be run: {problem}")
