"use strict";
// Search and filters of the catalog, tabs and copy buttons. Without it all of the content is there.

const one = (selector) => document.querySelector(selector);
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

function catalog() {
  const form = one("#filters");
  if (!form) return;
  const list = one("#models");
  const cards = all(".card", list).map((card, place) => ({
    card,
    place,
    name: card.querySelector("h2").textContent,
    text: `${card.textContent} ${card.dataset.words}`.toLowerCase(),
    size: Number(card.dataset.size),
    memory: Number(card.dataset.memory),
    task: card.dataset.task,
    license: card.dataset.license,
    formats: card.dataset.formats.split(" "),
  }));
  const controls = { q: one("#q"), license: one("#license"), memory: one("#memory"), format: one("#format"), sort: one("#sort") };
  const radios = all("input[name=task]", form);
  const orders = {
    name: (a, b) => a.name.localeCompare(b.name),
    size: (a, b) => a.size - b.size,
    memory: (a, b) => a.memory - b.memory,
  };
  const synonyms = JSON.parse(form.dataset.synonyms);
  let order = "";

  // As zoo list searches: short words must begin a word, longer ones may be inside of one.
  function finder(word) {
    const bits = word.match(/^(\d)-?bits?$/);
    const either = bits ? [`${bits[1]}bit`, `int${bits[1]}`] : (Object.hasOwn(synonyms, word) ? synonyms[word] : [word]);
    const tests = either.map((one) => {
      if (one.length > 3) return (text) => text.includes(one);
      const start = new RegExp(`(?<![a-z0-9])${one.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`);
      return (text) => start.test(text);
    });
    return (text) => tests.some((test) => test(text));
  }

  function wanted() {
    const values = Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.value.trim()]));
    values.task = radios.find((radio) => radio.checked)?.value ?? "";
    return values;
  }

  function show() {
    const want = wanted();
    const words = want.q.toLowerCase().split(/\s+/).filter(Boolean).map(finder);
    let count = 0;
    for (const model of cards) {
      const match =
        words.every((has) => has(model.text)) &&
        (!want.task || model.task === want.task) &&
        (!want.license || want.license.split(" ").includes(model.license)) &&
        (!want.memory || model.memory <= Number(want.memory) * 1e9) &&
        (!want.format || model.formats.includes(want.format));
      model.card.hidden = !match;
      count += match;
    }
    if (want.sort !== order) {
      order = want.sort;
      const sorted = [...cards].sort(orders[order] ?? ((a, b) => a.place - b.place));
      list.append(...sorted.map((model) => model.card));
    }
    one("#found").textContent = `${count} ${count === 1 ? "model" : "models"}${count < cards.length ? ` of ${cards.length}` : ""}`;
    one("#none").hidden = count > 0;
    const set = Object.entries(want).filter(([, value]) => value);
    const hash = set.length ? `#${new URLSearchParams(set)}` : "";
    history.replaceState(null, "", `${location.pathname}${location.search}${hash}`);
  }

  function restore() {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const [name, control] of Object.entries(controls)) control.value = given.get(name) ?? "";
    for (const radio of radios) radio.checked = radio.value === (given.get("task") ?? "");
    if (!radios.some((radio) => radio.checked)) radios[0].checked = true;
    show();
  }

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", show);
  one("#reset").addEventListener("click", () => {
    form.reset();
    show();
    controls.q.focus();
  });
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.metaKey && !event.ctrlKey) {
      event.preventDefault();
      controls.q.focus();
    }
  });
  window.addEventListener("hashchange", restore);
  window.addEventListener("pageshow", restore);
  restore();
}

function tabs() {
  for (const list of all("[role=tablist]")) {
    const buttons = all("[role=tab]", list);
    const select = (chosen) => {
      for (const button of buttons) {
        const active = button === chosen;
        button.setAttribute("aria-selected", String(active));
        button.tabIndex = active ? 0 : -1;
        document.getElementById(button.getAttribute("aria-controls")).hidden = !active;
      }
    };
    list.hidden = false;
    list.addEventListener("click", (event) => {
      const button = event.target.closest("[role=tab]");
      if (button) select(button);
    });
    list.addEventListener("keydown", (event) => {
      const place = buttons.indexOf(document.activeElement);
      const steps = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: buttons.length - 1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const next = buttons[(steps[event.key] + buttons.length) % buttons.length];
      select(next);
      next.focus();
    });
    select(buttons[0]);
  }
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages of a disk may not use the clipboard in some browsers: the old way works there.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function copies() {
  for (const button of all(".copy")) {
    const label = button.innerHTML;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const done = await copied(button.parentElement.querySelector("code").textContent);
      button.textContent = done ? "Copied" : "Press ⌘C";
      setTimeout(() => { button.innerHTML = label; }, 1600);
    });
  }
}

catalog();
tabs();
copies();
