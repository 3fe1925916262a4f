"""The pages of `zoo cost` and `zoo lint`: sorted, concluding, escaped, and good to look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.reports.costs import Cost, Operation
from zoo.reports.findings import Finding, LintReport, Place, Placement
from zoo.site import cost, lint

NASTY = "<script>alert(1)</script>"


def language(tokens: int = 1) -> Cost:
    """A model that reads a gigabyte of weights, and whose table of embeddings is read by rows."""
    operations = (
        Operation("model", "embed", "gather", "rows", 10**8, 2 * 10**8, 8_000, 0),
        Operation("model", "small", "linear", "a", 10**6, 10**6, 10**6, 10**6),
        Operation("model", "large", "linear", "b", 5 * 10**8, 10**9 - 10**6, 10**6, 10**9),
    )
    words = "1 token" if tokens == 1 else f"{tokens} tokens"
    return Cost(f"{words} after 1,023 others", operations, "acme:one", "coreml-int4")


def test_a_token_reads_all_weights_but_the_table_of_embeddings() -> None:
    found = cost.conclusion(language())
    assert (found.unit, found.read, found.limit) == ("token", 10**9, "memory")
    assert {mac: most for mac, _, most in found.bounds}["M4"] == pytest.approx(120)
    page = cost.page("acme", language())
    assert "acme:one/coreml-int4" in page
    assert "120 tokens/s" in page


def test_tokens_that_go_through_together_share_the_weights() -> None:
    found = cost.conclusion(language(64))
    assert {mac: most for mac, _, most in found.bounds}["M4"] == pytest.approx(64 * 120)


def test_a_call_bound_by_arithmetic_says_so_and_sorts_by_it() -> None:
    operations = (
        Operation("unet", "wide", "conv", "a", 10**6, 2 * 10**6, 10**6, 10**8),
        Operation("unet", "deep", "conv", "b", 10**5, 2 * 10**5, 10**5, 10**12),
    )
    made = Cost("one call of each component", operations)
    assert cost.conclusion(made).limit == "arithmetic"
    page = cost.page("sd", made)
    assert page.index("<code>deep</code>") < page.index("<code>wide</code>")
    assert "calls/s" in page


def test_layers_are_sorted_by_what_they_cost() -> None:
    page = cost.page("x", language())
    places = [page.index(f"<code>{name}</code>") for name in ("large", "embed", "small")]
    assert places == sorted(places)


def test_a_cost_of_nothing_is_a_page_too() -> None:
    page = cost.page("x", Cost("one call", (Operation("m", "l", "add", "a"),)))
    assert "at most" not in page


def test_backticks_of_a_finding_are_code_and_stay_escaped() -> None:
    finding = Finding(
        "N1",
        "t",
        "note",
        "`<b>` is",
        "use `x`",
        "https://e.org",
        1,
        "p",
        "main",
        (Place("a", "b"),),
    )
    page = lint.page("m", LintReport("any", None, (finding,)))
    assert "<code>&lt;b&gt;</code> is" in page
    assert "use <code>x</code>" in page


def test_names_cannot_put_markup_into_a_page() -> None:
    operation = Operation("m", NASTY, NASTY, NASTY, 10, 10, 10, 10)
    finding = Finding(
        "N1", NASTY, "silent", NASTY, NASTY, "https://example.org", 1, NASTY, NASTY,
        (Place(NASTY, "add"),),
    )  # fmt: skip
    report = LintReport("any", None, (finding,), (Placement(NASTY, "main", {NASTY: "ane"}),))
    for page in (cost.page(NASTY, Cost(NASTY, (operation,))), lint.page(NASTY, report)):
        assert "<script" not in page
        assert "&lt;script&gt;" in page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_on_a_phone_and_for_a_screen_reader(browser, tmp_path: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core here")
    finding = Finding(
        "N1", "A fault", "slow", "what happens", "what to do", "https://example.org", 1, "m.mlpackage",
        "main", (Place("model_layers_0_x", "add"),),
    )  # fmt: skip
    units = {"model_layers_0_a": "ane", "model_layers_0_b": "gpu", "model_layers_1_a": "cpu"}
    report = LintReport("any", None, (finding,), (Placement("m", "main", units),))
    pages = {"cost": cost.page("x", language()), "lint": lint.page("m.mlpackage", report)}
    for name, text in pages.items():
        (tmp_path / f"{name}.html").write_text(text)
        context = browser.new_context(color_scheme=scheme, viewport={"width": 390, "height": 800})
        page, said = context.new_page(), []
        page.on("console", lambda message, said=said: said.append(message.text))
        page.goto(f"file://{tmp_path}/{name}.html")
        root = "document.documentElement"
        assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth"), name
        found = axe.Axe().run(page).response["violations"]
        context.close()
        assert not [(v["id"], v["nodes"][0]["target"]) for v in found], name
        assert not said
