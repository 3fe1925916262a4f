"""The site as people use it, in headless Chromium, from files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.api import catalog

STORY, DIGITS, SHAPES = (f"models/user/{name}/one.html" for name in ("story", "digits", "shapes"))
PAGES = ("index.html", STORY, DIGITS, SHAPES, "models/zoo/mistral/7b-instruct.html")
LIGHT, DARK = "light", "dark"
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


class Visit:
    """A page, and what it asked for and complained of."""

    def __init__(self, browser, made: Path, scheme: str = LIGHT, size: dict = DESKTOP) -> None:
        self.made = made
        self.context = browser.new_context(color_scheme=scheme, viewport=size)
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    def open(self, path: str):
        self.page.goto(f"file://{self.made}/{path}")
        return self.page

    def cards(self) -> list[str]:
        return self.page.locator(".card:visible h2").all_text_contents()


@pytest.fixture
def visit(browser, made: Path) -> Iterator[Visit]:
    visit = Visit(browser, made)
    yield visit
    visit.context.close()
    assert not visit.said
    outside = [url for url in visit.asked if not url.startswith((f"file://{made}/", "data:"))]
    assert not outside


def test_search_needs_every_word(visit: Visit) -> None:
    page = visit.open("index.html")
    every = len(visit.cards())
    assert every > 60
    page.keyboard.press("/")
    page.keyboard.type("miniature WHISPER")
    assert visit.cards() == ["Whisper miniature"]
    assert page.locator("#found").inner_text() == f"1 model of {every}"
    page.locator("#q").fill("coreml-palettized speech")  # builds and tasks are found too
    assert "Whisper miniature" in visit.cards()
    assert "Mistral miniature" not in visit.cards()


def test_search_finds_what_zoo_list_finds(visit: Visit) -> None:
    page = visit.open("index.html")
    for query in (
        "sdxl",
        "whisper german",
        "4bit openelm",
        "en",
        "mit",
        "iphone text",
        "inpaint sd",
    ):
        page.locator("#q").fill(query)
        found = {listing.ref for listing in catalog().search(*query.split())}
        shown = set(page.locator(".card:visible .ref > code").all_text_contents())
        assert {ref for ref in shown if not ref.startswith("user/")} == found, query
        assert found, query


def test_filters_narrow_and_can_be_shared(visit: Visit) -> None:
    page = visit.open("index.html")
    page.get_by_text("Text to image", exact=True).first.click()
    page.get_by_label("License").select_option("Permissive")
    assert {"Stable Diffusion miniature", "Shape painter"} < set(visit.cards())
    assert "Stable Diffusion XL base 1.0" not in visit.cards()
    page.get_by_label("License").select_option("Commercial use possible")
    assert "Stable Diffusion XL base 1.0" in visit.cards()
    page.get_by_label("Memory").select_option("Up to 2 GB")
    small = visit.cards()
    assert "Stable Diffusion XL base 1.0" not in small
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    assert visit.cards() == small


def test_nothing_found_says_so_and_can_be_undone(visit: Visit) -> None:
    page = visit.open("index.html")
    page.locator("#q").fill("nothing-of-the-kind")
    assert visit.cards() == []
    page.get_by_role("button", name="Clear search and filters").click()
    assert len(visit.cards()) > 60


def test_models_are_sorted(visit: Visit) -> None:
    page = visit.open("index.html")
    first = visit.cards()
    page.get_by_label("Sort by").select_option("Name")
    assert visit.cards() == sorted(first, key=str.casefold) != first
    page.get_by_label("Sort by").select_option("Memory")
    assert visit.cards()[0] == "OpenELM miniature"
    page.get_by_label("Sort by").select_option("Catalog order")
    assert visit.cards() == first


def test_a_card_opens_its_page_and_a_command_is_copied(visit: Visit) -> None:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visit.open("index.html")
    page.get_by_role("link", name="Story writer").click()
    assert page.locator("h1").inner_text() == "Story writer"
    page.get_by_role("button", name="Copy the Shell code").click()
    page.get_by_role("button", name="Copied").wait_for(timeout=5000)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith('zoo run user/story:one "Once upon a time"')


def test_tabs_by_keyboard(visit: Visit) -> None:
    page = visit.open("models/zoo/mistral/mini.html")
    page.get_by_role("tab", name="Shell").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tabpanel").inner_text().startswith("import zoo")
    page.keyboard.press("ArrowRight")
    assert "CoreML" in page.get_by_role("tabpanel").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="Shell").get_attribute("aria-selected") == "true"


def test_figures_and_outputs_of_the_checks_are_shown(visit: Visit) -> None:
    page = visit.open(STORY)
    assert page.locator(".scatter circle").count() == 2
    assert "top1" in page.locator("#checks + p + details").inner_text()
    story = page.locator(".texts dd").first.inner_text()
    assert len(story.split()) > 20
    page = visit.open(DIGITS)
    assert page.locator("audio").count() == 1
    assert page.evaluate(
        "new Promise(done => { const a = document.querySelector('audio'); a.preload = 'auto';"
        " a.onloadedmetadata = () => done(a.duration > 0.5); a.onerror = () => done(false); a.load() })"
    )
    page = visit.open(SHAPES)
    styles = page.locator(".output .tag").all_inner_texts()
    assert set(styles) == {"ink", "outline"}
    page.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    page.wait_for_function("[...document.images].every(i => i.complete)")
    assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")


def test_a_page_says_all_without_scripts(browser, made: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{made}/index.html")
    assert page.locator(".card:visible").count() > 60
    assert not page.locator("#filters").is_visible()
    page.goto(f"file://{made}/models/zoo/mistral/mini.html")
    assert page.get_by_text("import CoreML").is_visible()
    context.close()


@pytest.mark.parametrize("scheme", [LIGHT, pytest.param(DARK, marks=pytest.mark.long)])
@pytest.mark.parametrize("path", PAGES)
def test_accessibility_has_no_serious_findings(browser, made: Path, path: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core here")
    visit = Visit(browser, made, scheme)
    results = axe.Axe().run(visit.open(path)).response
    assert len(results["passes"]) > 15
    found = [
        (v["id"], v["impact"], [n["target"] for n in v["nodes"]][:3])
        for v in results["violations"]
        if v["impact"] in ("serious", "critical", "moderate")
    ]
    visit.context.close()
    assert not found


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_needs_no_scrolling_sideways(browser, made: Path, path: str) -> None:
    visit = Visit(browser, made, size=PHONE)
    page = visit.open(path)
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth")
    visit.context.close()


def test_the_first_view_is_small_and_quick(browser, made: Path) -> None:
    visit = Visit(browser, made)
    page = visit.open("index.html")
    models = len(visit.cards())
    paths = [Path(url.removeprefix("file://")) for url in visit.asked if url.startswith("file:")]
    assert sum(path.stat().st_size for path in paths) * 100 / models < 300_000
    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    assert page.evaluate(paint) < 1000
    visit.context.close()
