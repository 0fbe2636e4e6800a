// A stream's own view: its last clip, its scores, what happened, what was counted.

import { hourPath } from "./news.js";
import { clock, count, ended, lasted, percent, state, tone, why } from "./words.js";

const MOST_CURVES = 12;
const MOST_EVENTS = 12;
const SPAN_S = 120;
const STILL_TICKS = 10;
const SVG = "http://www.w3.org/2000/svg";

export class Own {
  constructor(root, template) {
    this.root = root;
    this.template = template;
    this.frame = 0;
  }

  open(stream) {
    this.stream = stream;
    this.root.replaceChildren(this.template.content.cloneNode(true));
    this.part("h2").textContent = stream;
    this.part("h2").focus();
    this.clip = [];
    this.ticks = 0;
    this.play();
  }

  close() {
    clearTimeout(this.playing);
    this.root.replaceChildren();
  }

  part(selector) {
    return this.root.querySelector(selector);
  }

  show(news, message) {
    if (message.streams) this.neighbours(news);
    this.head(news);
    if (message.own?.clip) this.strip(news);
    if (message.own?.curve || message.own?.rows) this.curves(news);
    if (message.own?.figures) this.figures(news);
    if (message.marks || message.streams) this.happened(news);
  }

  tick(news) {
    this.head(news);
    // A table that is built anew loses what is selected in it.
    this.ticks = (this.ticks + 1) % STILL_TICKS;
    if (this.ticks === 0 || news.openOf(this.stream).length) this.happened(news);
  }

  happened(news) {
    this.lanes(news);
    this.events(news);
  }

  neighbours(news) {
    const at = news.streams.indexOf(this.stream);
    for (const [selector, stream] of [[".before", news.streams[at - 1]], [".after", news.streams[at + 1]]]) {
      const link = this.part(selector);
      link.textContent = at >= 0 && stream ? stream : "";
      link.hidden = !link.textContent;
      if (stream) link.href = `#${encodeURIComponent(stream)}`;
    }
  }

  head(news) {
    const tile = news.tiles.get(this.stream);
    const reason = this.part("#own > .why");
    if (!tile) {
      reason.hidden = !news.streams.length;
      reason.textContent = "There is no stream of this name.";
      return;
    }
    const head = this.part(".head");
    head.dataset.tone = reason.dataset.tone = tone(tile);
    head.toggleAttribute("data-background", tile.background);
    head.toggleAttribute("data-event", news.openOf(this.stream).some((mark) => mark.label === tile.label));
    head.querySelector(".state").textContent = state(tile);
    head.querySelector(".label").textContent = tile.label ?? "";
    head.querySelector(".score").textContent = percent(tile.score);
    const text = why(tile, news.now);
    reason.hidden = !text;
    if (!text) return;
    const strong = document.createElement("strong");
    strong.textContent = `${state(tile)[0].toUpperCase()}${state(tile).slice(1)}`;
    const from = tile.since ? ` since ${clock(tile.since)}` : "";
    reason.replaceChildren(strong, `${from}: ${text}`);
  }

  strip(news) {
    this.clip = news.own.clip;
    this.interval = 1000 * (news.own.curve?.interval_s ?? 0.2);
    this.part(".clip").hidden = false;
    const list = this.part(".strip");
    while (list.children.length > this.clip.length) list.lastChild.remove();
    while (list.children.length < this.clip.length)
      list.append(document.createElement("li")), list.lastChild.append(new Image());
    for (const [at, picture] of this.clip.entries()) {
      const image = list.children[at].firstChild;
      image.src = picture;
      image.alt = `frame ${at + 1}`;
    }
    this.part(".clip .note").textContent =
      `${this.clip.length} frames, ${(this.interval / 1000).toFixed(2)} s apart: the square that it is given of each.`;
  }

  // Shows the clip again and again, in its own time; who wants no motion sees its last frame.
  play() {
    clearTimeout(this.playing);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (this.clip.length) {
      this.frame = still ? this.clip.length - 1 : (this.frame + 1) % this.clip.length;
      const image = this.part(".moving");
      image.src = this.clip[this.frame];
      image.alt = `the last clip of ${this.stream}`;
      image.hidden = false;
      for (const [at, item] of [...this.part(".strip").children].entries())
        item.classList.toggle("shown", at === this.frame);
    }
    this.playing = setTimeout(() => this.play(), this.clip.length ? this.interval : 300);
  }

  curves(news) {
    const { curve, rows } = news.own;
    if (!curve) return;
    this.part(".curves").hidden = false;
    const list = this.part(".curves ul");
    const newest = rows.at(-1)?.[0] ?? 0;
    const open = new Set(news.openOf(this.stream).map((mark) => mark.label));
    const chosen = choose(curve.labels, rows);
    if (list.dataset.chosen !== chosen.join()) {
      list.replaceChildren(...chosen.map((index) => curveItem(curve, index)));
      list.dataset.chosen = chosen.join();
    }
    for (const [at, index] of chosen.entries()) {
      const item = list.children[at];
      const last = rows.at(-1)?.[1][index] ?? 0;
      const points = rows
        .filter(([time]) => time > newest - SPAN_S)
        .map(([time, scores]) => `${(time - newest + SPAN_S).toFixed(2)} ${(1 - (scores[index] ?? 0)).toFixed(3)}`);
      item.querySelector("path").setAttribute("d", points.length ? `M${points.join("L")}` : "");
      item.querySelector(".value").textContent = percent(last);
      item.classList.toggle("open", open.has(curve.labels[index]));
      item.querySelector("svg").setAttribute("aria-label", `score of ${curve.labels[index]} over two minutes, now ${percent(last)}`);
    }
  }

  lanes(news) {
    const marks = news.marksOf(this.stream);
    const labels = [...new Set(marks.map((mark) => mark.label))].sort();
    const lanes = labels.flatMap((label) => {
      const name = document.createElement("span");
      name.textContent = label;
      const drawing = svg("svg", { class: "hour", viewBox: "0 0 3600 10", preserveAspectRatio: "none" });
      drawing.append(svg("path", { d: hourPath(marks.filter((mark) => mark.label === label), news.now) }));
      return [name, drawing];
    });
    const axis = document.createElement("p");
    axis.className = "axis";
    for (const minutes of [60, 45, 30, 15, 0]) {
      const time = document.createElement("span");
      time.textContent = clock(news.now - 60 * minutes).slice(0, 5);
      axis.append(time);
    }
    const all = this.part(".lanes");
    all.replaceChildren(...lanes, axis);
    all.setAttribute("aria-label", `${count(marks.length, "event")} in the last hour: ${labels.join(", ") || "none"}`);
  }

  events(news) {
    const newest = news.marksOf(this.stream).sort((one, other) => other.start - one.start).slice(0, MOST_EVENTS);
    this.part(".events table").hidden = !newest.length;
    this.part(".events .none").hidden = newest.length > 0;
    this.part("tbody").replaceChildren(
      ...newest.map((mark) => {
        const row = document.createElement("tr");
        row.classList.toggle("open", mark.end === null);
        const length = (mark.end ?? news.now) - mark.start;
        const still = mark.end === null ? "still on" : ended(mark);
        for (const text of [mark.label, clock(mark.start), lasted(length), percent(mark.peak), still]) {
          const cell = document.createElement("td");
          cell.textContent = text;
          row.append(cell);
        }
        return row;
      }),
    );
  }

  figures(news) {
    this.part(".groups").replaceChildren(
      ...Object.entries(news.own.figures).map(([group, values]) => {
        const block = document.createElement("div");
        const title = document.createElement("h4");
        title.textContent = group[0].toUpperCase() + group.slice(1);
        const list = document.createElement("dl");
        for (const [name, value] of Object.entries(values))
          for (const [tag, text] of [["dt", name], ["dd", value]]) {
            const element = document.createElement(tag);
            element.textContent = text;
            list.append(element);
          }
        block.append(title, list);
        return block;
      }),
    );
  }
}

// All labels where there are few, else those that scored best of late.
function choose(labels, rows) {
  if (labels.length <= MOST_CURVES) return labels.map((_, index) => index);
  const best = new Map();
  for (const [, scores] of rows)
    for (const [index, score] of Object.entries(scores))
      best.set(Number(index), Math.max(best.get(Number(index)) ?? 0, score));
  const sorted = [...best].sort((one, other) => other[1] - one[1]).slice(0, MOST_CURVES);
  return sorted.map(([index]) => index).sort((one, other) => one - other);
}

function curveItem(curve, index) {
  const item = document.createElement("li");
  const [name, value] = [document.createElement("span"), document.createElement("span")];
  [name.className, value.className] = ["name", "value"];
  name.textContent = curve.labels[index];
  const drawing = svg("svg", { viewBox: `0 0 ${SPAN_S} 1`, preserveAspectRatio: "none", role: "img" });
  drawing.append(svg("line", { x1: 0, x2: SPAN_S, y1: 1, y2: 1 }));
  for (const [kind, threshold] of [["on", curve.on[index]], ["off", curve.off[index]]])
    if (threshold !== null)
      drawing.append(svg("line", { class: kind, x1: 0, x2: SPAN_S, y1: 1 - threshold, y2: 1 - threshold }));
  drawing.append(svg("path", {}));
  item.append(name, drawing, value);
  return item;
}

function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
