// The grid: a tile for each stream, as large as fits the window.

import { hourPath } from "./news.js";
import { count, percent, since, state, tone, why } from "./words.js";

const LEAST_PX = 150; // a tile's width, before the page scrolls rather than shrink them more
const READABLE_PX = 260; // ... and their width then
const NARROW_PX = 560; // a phone
const GAP_PX = 13;

// A tile's height: its picture or what stands there, and words never smaller than can be read.
const heightOf = (width, plain) =>
  (plain ? Math.max(0.15 * width, 35) : (width * 9) / 16) + Math.max(0.255 * width, 56);

export class Tiles {
  constructor(list, template) {
    this.list = list;
    this.template = template;
    this.parts = new Map();
    this.order = "";
    addEventListener("resize", () => this.arrange());
  }

  show(news, message) {
    const order = news.streams.join(" ");
    if (order !== this.order) this.place(news, order);
    const touched = new Set([
      ...(message.tiles ?? []).map((tile) => tile.id),
      ...Object.keys(message.marks ?? {}),
    ]);
    for (const stream of touched) this.fill(news, stream);
    for (const stream of Object.keys(message.pictures ?? {})) this.picture(news, stream);
  }

  // What changes as time goes by: countdowns, and how long ago things were.
  tick(news) {
    for (const [stream, tile] of news.tiles) {
      const parts = this.parts.get(stream);
      if (!parts) continue;
      set(parts.why, why(tile, news.now));
      this.hour(news, stream, parts);
    }
  }

  focus(stream) {
    this.parts.get(stream)?.link.focus();
  }

  place(news, order) {
    for (const [stream, parts] of this.parts)
      if (!news.streams.includes(stream)) {
        parts.item.remove();
        this.parts.delete(stream);
      }
    for (const [at, stream] of news.streams.entries()) {
      const parts = this.parts.get(stream) ?? this.make(stream);
      if (this.list.children[at] !== parts.item)
        this.list.insertBefore(parts.item, this.list.children[at] ?? null);
    }
    this.order = order;
    this.arrange();
  }

  make(stream) {
    const item = this.template.content.firstElementChild.cloneNode(true);
    const part = (selector) => item.querySelector(selector);
    const parts = {
      item,
      link: part("a"),
      image: part("img"),
      state: part(".state"),
      why: part(".why"),
      label: part(".label"),
      score: part(".score"),
      figures: part(".figures"),
      path: part("path"),
    };
    part("h2").textContent = stream;
    parts.link.href = `#${encodeURIComponent(stream)}`;
    this.parts.set(stream, parts);
    return parts;
  }

  fill(news, stream) {
    const [tile, parts] = [news.tiles.get(stream), this.parts.get(stream)];
    if (!tile || !parts) return;
    const isOpen = news.openOf(stream).some((mark) => mark.label === tile.label);
    parts.link.dataset.tone = tone(tile);
    parts.link.toggleAttribute("data-background", tile.background);
    parts.link.toggleAttribute("data-event", isOpen);
    set(parts.state, state(tile));
    set(parts.why, why(tile, news.now));
    set(parts.label, tile.label ?? since(tile));
    set(parts.score, percent(tile.score));
    set(parts.figures, figures(tile));
    const said = tile.label ? `${tile.label} ${percent(tile.score)}` : why(tile, news.now);
    const events = count(news.marksOf(stream).length, "event");
    const name = [`${stream}: ${state(tile)}`, said, `${events} in the last hour`];
    parts.link.setAttribute("aria-label", name.filter(Boolean).join(", "));
    this.hour(news, stream, parts);
  }

  hour(news, stream, parts) {
    const path = hourPath(news.marksOf(stream), news.now);
    if (parts.drawn !== path) parts.path.setAttribute("d", (parts.drawn = path));
  }

  picture(news, stream) {
    const parts = this.parts.get(stream);
    if (!parts) return;
    parts.image.src = news.pictures.get(stream);
    parts.image.hidden = false;
    parts.link.toggleAttribute("data-pictured", true);
  }

  // As few columns as let all tiles be seen at once; else so many that tiles stay readable.
  arrange() {
    const [number, width] = [this.parts.size, this.list.clientWidth];
    if (!number || !width) return;
    const height = innerHeight - this.list.getBoundingClientRect().top - scrollY - GAP_PX;
    const plain = document.body.classList.contains("plain");
    const fits = (columns) => {
      const each = (width - GAP_PX * (columns - 1)) / columns;
      return Math.ceil(number / columns) * (heightOf(each, plain) + GAP_PX) <= height;
    };
    const most = Math.min(Math.floor(width / LEAST_PX), Math.max(number, 2));
    let columns = 1;
    while (columns < most && !fits(columns)) columns += 1;
    if (!fits(columns)) columns = Math.min(most, Math.floor(width / READABLE_PX));
    if (width < NARROW_PX) columns = number > 8 ? 2 : 1;
    this.list.style.setProperty("--columns", columns);
  }
}

function figures(tile) {
  const parts = [];
  if (tile.frames_per_s !== null) parts.push(`${tile.frames_per_s.toFixed(tile.frames_per_s < 10 ? 1 : 0)} fps`);
  if (tile.latency_ms !== null) parts.push(`${tile.latency_ms.toFixed(0)} ms`);
  parts.push(`${tile.dropped} dropped`);
  return parts.join(" · ");
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
