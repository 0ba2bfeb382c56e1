// The regions of both photos, which takes which, and the ways to change that: the list with its
// switches and menus, and clicks on the pictures. Regions of one color belong together.

import { drawOverlay, labelAt, readLabels, roomiest } from "./overlay.js";

const COLORS = [
  "#9aa0a6", "#4c9be8", "#3fa65a", "#e08a2e", "#b0926a", "#d64f4f", "#c95fb0", "#27b0b0",
  "#8a6fd1", "#c9b037", "#8f5b3a", "#f2d34f",
];
const WHOLE = "whole";

export class Regions {
  constructor(root, live) {
    this.live = live;
    this.hint = root.querySelector("#regions-hint");
    this.body = root.querySelector("#regions-body");
    this.list = root.querySelector("#region-list");
    this.maps = Object.fromEntries(
      [...root.querySelectorAll(".map")].map((map) => [map.dataset.role, map]),
    );
    this.found = null;
    this.choices = new Map();
    root.querySelector("#regions-reset").addEventListener("click", () => {
      this.#takeFoundPairs();
      this.#draw();
      this.live.textContent = "The pairs are as they were found.";
    });
    for (const [role, map] of Object.entries(this.maps)) {
      map.addEventListener("click", (event) => this.#click(role, event));
    }
  }

  say(words) {
    this.hint.textContent = words;
  }

  clear(words) {
    this.found = null;
    this.body.hidden = true;
    this.say(words);
  }

  // Takes over what the gateway found; earlier choices stay where names are the same.
  async show(found, panes, keep) {
    const earlier = keep && this.found ? this.#choicesByName() : null;
    this.found = found;
    this.labels = {};
    for (const role of ["content", "style"]) {
      const bytes = Uint8Array.from(atob(found[role].labels), (letter) => letter.charCodeAt(0));
      found[role].mask = new Blob([bytes], { type: "image/png" });
      this.labels[role] = await readLabels(found[role].mask);
      const image = this.maps[role].querySelector("img");
      image.hidden = !panes[role].size;
      if (panes[role].size) image.src = panes[role].url;
    }
    this.colors = colorsOf(found.style.regions);
    this.#takeFoundPairs();
    if (earlier) this.#takeChoices(earlier);
    this.selected = null;
    this.body.hidden = false;
    if (found.source === "whole") {
      this.say("This server takes photos whole: it has no segmenter.");
    } else {
      this.say("Regions of one color belong together. Pick a region of your photo, then its partner in the other one.");
    }
    this.#draw();
  }

  // What to send beside the photos.
  // The server finds the same regions again; their soft borders are lost in a mask.
  fields() {
    if (!this.found) return {};
    const given = new Map(this.found.pairs);
    const asFound = [...this.choices].every(
      ([label, { on, style }]) => on === given.has(label) && (!on || style === (given.get(label) ?? null)),
    );
    if (asFound) return {};
    const pairs = [...this.choices].filter(([, { on }]) => on).map(([ours, { style }]) => [ours, style]);
    return { pairs: JSON.stringify(pairs) };
  }

  #takeFoundPairs() {
    const pairs = new Map(this.found.pairs);
    this.choices = new Map(
      this.found.content.regions.map(({ label }) => [
        label,
        { on: pairs.has(label), style: pairs.get(label) ?? null },
      ]),
    );
    this.selected = null;
  }

  #choicesByName() {
    const name = (role, label) => this.found[role].regions.find((one) => one.label === label)?.name;
    return new Map(
      [...this.choices].map(([ours, { on, style }]) => [
        name("content", ours),
        { on, style: style === null ? null : name("style", style) },
      ]),
    );
  }

  #takeChoices(earlier) {
    for (const { label, name } of this.found.content.regions) {
      const choice = earlier.get(name);
      if (!choice) continue;
      const partner = this.found.style.regions.find((one) => one.name === choice.style);
      if (choice.style === null || partner) {
        this.choices.set(label, { on: choice.on, style: partner?.label ?? null });
      }
    }
  }

  #color(label) {
    return label === null ? "#f4f1ea" : this.colors.get(label);
  }

  #click(role, event) {
    if (!this.found) return;
    const label = labelAt(this.labels[role], this.maps[role], event);
    if (role === "content") {
      const choice = this.choices.get(label);
      if (!choice) return;
      if (this.selected === label) choice.on = !choice.on;
      this.selected = label;
      this.live.textContent = choice.on
        ? `${this.#name("content", label)} is picked. Click its partner in the other photo, or once more to switch it off.`
        : `${this.#name("content", label)} keeps its own look.`;
    } else if (this.selected !== null) {
      this.#set(this.selected, { on: true, style: label });
    } else {
      this.live.textContent = "Pick a region of your photo first.";
      this.say("Pick a region of your photo first, then its partner here.");
    }
    this.#draw();
  }

  #set(label, choice) {
    this.choices.set(label, { ...this.choices.get(label), ...choice });
    const { on, style } = this.choices.get(label);
    const name = this.#name("content", label);
    this.live.textContent = on
      ? `${name} takes ${style === null ? "the whole photo" : this.#name("style", style)}.`
      : `${name} keeps its own look.`;
    this.#draw();
  }

  #name(role, label) {
    return this.found[role].regions.find((one) => one.label === label)?.name ?? String(label);
  }

  #draw() {
    const content = (label) => {
      const choice = this.choices.get(label);
      return choice?.on ? this.#color(choice.style) : null;
    };
    const style = (label) => this.#color(label);
    const canvas = (role) => this.maps[role].querySelector("canvas");
    drawOverlay(canvas("content"), this.labels.content, content, this.selected);
    drawOverlay(canvas("style"), this.labels.style, style, null);
    for (const role of ["content", "style"]) {
      const words = this.found[role].regions.map((one) => `${one.name} ${percent(one.share)}`);
      canvas(role).setAttribute("aria-label", `Regions: ${words.join(", ")}`);
      this.#tag(role);
    }
    this.#list();
  }

  // Writes the names of the larger regions on a picture; the list has them all.
  #tag(role) {
    const map = this.maps[role];
    map.querySelectorAll(".map-tag").forEach((tag) => tag.remove());
    const places = roomiest(this.labels[role]);
    for (const { label, name, share } of this.found[role].regions) {
      if (share < 0.02 || !places.has(label)) continue;
      const tag = element("span", { className: "map-tag", textContent: name });
      tag.setAttribute("aria-hidden", "true");
      const { x, y } = places.get(label);
      tag.style.left = `${100 * x}%`;
      tag.style.top = `${100 * y}%`;
      map.append(tag);
    }
  }

  #list() {
    const focused = document.activeElement?.id;
    this.list.replaceChildren(
      ...[...this.found.content.regions].sort((a, b) => b.share - a.share).map((one) => this.#row(one)),
    );
    if (focused) document.getElementById(focused)?.focus();
  }

  #row({ label, name, share, sure }) {
    const { on, style } = this.choices.get(label);
    const row = element("li", { className: this.selected === label ? "picked" : "" });
    const toggle = element("input", { type: "checkbox", id: `region-${label}`, checked: on });
    toggle.setAttribute("role", "switch");
    toggle.addEventListener("change", () => this.#set(label, { on: toggle.checked }));
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = on ? this.#color(style) : "";
    swatch.classList.toggle("off", !on);
    const title = element("label", { htmlFor: toggle.id });
    const words = element("span", { className: "region-words" });
    words.append(element("span", { className: "region-name", textContent: name }));
    if (sure !== undefined) words.append(element("small", { textContent: sureness(name, sure) }));
    title.append(swatch, words, element("span", { className: "share", textContent: percent(share) }));
    const menu = element("select", { id: `partner-${label}`, disabled: !on });
    menu.setAttribute("aria-label", `Partner of ${name}`);
    for (const one of this.found.style.regions) {
      menu.append(new Option(one.name, one.label, false, one.label === style));
    }
    menu.append(new Option("the whole photo", WHOLE, false, style === null));
    menu.addEventListener("change", () =>
      this.#set(label, { style: menu.value === WHOLE ? null : Number(menu.value) }));
    const arrow = element("span", { className: "arrow", textContent: on ? "takes" : "keeps its look" });
    arrow.setAttribute("aria-hidden", "true");
    row.append(toggle, title, arrow, menu);
    return row;
  }
}

// A class has its own color; areas without a class take those that are left.
function colorsOf(regions) {
  const colors = new Map();
  const left = [...COLORS];
  const isClass = ({ label }) => label < COLORS.length;
  for (const region of [...regions].sort((a, b) => isClass(b) - isClass(a))) {
    const color = isClass(region) ? COLORS[region.label] : left[0] ?? COLORS[region.label % COLORS.length];
    colors.set(region.label, color);
    if (left.includes(color)) left.splice(left.indexOf(color), 1);
  }
  return colors;
}

function sureness(name, sure) {
  return name.startsWith("area ") ? "by color and place" : `${Math.round(100 * sure)} % sure`;
}

function percent(share) {
  return share < 0.01 ? "under 1 %" : `${Math.round(100 * share)} %`;
}

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}
