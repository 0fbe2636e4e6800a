// Which view is open, and what stands above both.

import { News } from "./news.js";
import { Own } from "./own.js";
import { Tiles } from "./tiles.js";
import { clock, count, state, tone } from "./words.js";

const byId = (id) => document.getElementById(id);
const tiles = new Tiles(byId("tiles"), byId("tile"));
const own = new Own(byId("own"), byId("view"));
const news = new News(changed, lost);
let stream = null;

// The token has left its cookie; it need not stay in sight, nor in the history.
if (new URLSearchParams(location.search).has("token"))
  history.replaceState(null, "", location.pathname + location.hash);

function changed(_, message) {
  byId("tiles").hidden = stream !== null;
  if (stream === null) {
    const plain = !news.pictures.size;
    const turned = plain !== document.body.classList.contains("plain");
    document.body.classList.toggle("plain", plain);
    tiles.show(news, message);
    if (turned) tiles.arrange();
  } else own.show(news, message);
  trouble();
  summary();
}

let absent = "";
function lost(text) {
  absent = text;
  document.body.classList.toggle("lost", Boolean(text));
  trouble();
}

function trouble() {
  const text = absent || news.problems.join("; ");
  byId("trouble").hidden = !text;
  if (byId("trouble").textContent !== text) byId("trouble").textContent = text;
}

function summary() {
  const down = [...news.tiles.values()].filter((tile) => ["down", "stale"].includes(tone(tile))).length;
  const open = news.streams.reduce((sum, name) => sum + news.openOf(name).length, 0);
  const tile = news.tiles.get(stream);
  const parts = stream === null ? [["", count(news.streams.length, "stream")]] : [];
  if (tile) parts.push([tone(tile), state(tile)]);
  if (stream === null && down) parts.push(["down", `${down} down`]);
  if (open) parts.push(["event", `${count(open, "event")} open`]);
  const text = parts.map(([, words]) => words).join(", ");
  if (byId("summary").textContent !== text) {
    byId("summary").replaceChildren(
      ...parts.flatMap(([kind, words], at) => {
        const part = document.createElement("span");
        part.className = kind;
        part.textContent = words;
        return at ? [", ", part] : [part];
      }),
    );
    document.title = [stream, text, "streamcls"].filter(Boolean).join(" · ");
  }
}

// The stream that the address names, if it names one.
function named() {
  const name = location.hash.slice(1);
  try {
    return decodeURIComponent(name) || null;
  } catch {
    return name;
  }
}

function route() {
  const before = stream;
  stream = named();
  byId("own").hidden = stream === null;
  byId("tiles").hidden = stream !== null;
  if (stream === null) own.close();
  else own.open(stream);
  news.forget();
  news.follow(stream);
  scrollTo(0, 0);
  if (stream === null && before !== null) {
    tiles.arrange();
    tiles.focus(before);
  }
}

// Nobody looks at a page that is hidden, so the daemon need not work for it.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) news.stop();
  else news.follow(stream);
});

addEventListener("hashchange", route);
addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || stream === null) return;
  if (event.key === "Escape") location.hash = "";
  if (event.key === "ArrowLeft") document.querySelector(".before")?.click();
  if (event.key === "ArrowRight") document.querySelector(".after")?.click();
});

setInterval(() => {
  byId("clock").textContent = news.tiles.size ? clock(news.now) : "";
  if (stream === null) tiles.tick(news);
  else if (news.tiles.size) own.tick(news);
}, 1000);

route();
