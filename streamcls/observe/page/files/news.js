// What the daemon tells, put together: all there is to show, and whether it still comes.

const HOUR_S = 3600;
const SILENCE_MS = 12_000; // the daemon gives a sign of life every five seconds
const AGAIN_MS = 3000;

export class News {
  // changed(news, message) is called with every message; lost(text) when none comes, or "".
  constructor(changed, lost) {
    this.changed = changed;
    this.lost = lost;
    this.source = null;
    this.offset = 0; // the daemon's clock less this one, seconds
    this.forget();
  }

  get now() {
    return Date.now() / 1000 + this.offset;
  }

  forget() {
    this.streams = [];
    this.problems = [];
    this.tiles = new Map();
    this.marks = new Map(); // stream -> id -> mark
    this.pictures = new Map();
    this.own = { curve: null, rows: [], clip: [], figures: {} };
  }

  // All streams in short, or one with all there is to it.
  follow(stream) {
    this.stream = stream;
    this.stop();
    const query = stream === null ? "" : `?stream=${encodeURIComponent(stream)}`;
    this.source = new EventSource(`news${query}`);
    let first = true;
    this.source.onmessage = (event) => {
      // A connection begins with all there is.
      if (first) this.forget();
      first = false;
      this.heard();
      const message = JSON.parse(event.data);
      this.take(message);
      this.changed(this, message);
    };
    this.source.onerror = () => {
      first = true;
      const refused = this.source.readyState === EventSource.CLOSED;
      this.lost(refused ? "The daemon refuses this page: too many are open, or its token has changed." : "No connection to the daemon.");
      if (refused) this.again = setTimeout(() => this.follow(this.stream), AGAIN_MS);
    };
    this.heard(false);
  }

  stop() {
    clearTimeout(this.again);
    clearTimeout(this.silence);
    this.source?.close();
    this.source = null;
  }

  heard(well = true) {
    if (well) this.lost("");
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      this.lost("No word from the daemon.");
      this.follow(this.stream);
    }, SILENCE_MS);
  }

  take(message) {
    this.offset = message.now - Date.now() / 1000;
    this.problems = message.problems ?? this.problems;
    if (message.streams) {
      this.streams = message.streams;
      for (const kept of [this.tiles, this.marks, this.pictures])
        for (const stream of kept.keys()) if (!this.streams.includes(stream)) kept.delete(stream);
    }
    for (const tile of message.tiles ?? []) this.tiles.set(tile.id, tile);
    for (const [stream, marks] of Object.entries(message.marks ?? {})) this.mark(stream, marks);
    for (const [stream, picture] of Object.entries(message.pictures ?? {}))
      this.pictures.set(stream, `data:image/jpeg;base64,${picture}`);
    if (message.own) this.takeOwn(message.own);
  }

  mark(stream, marks) {
    const kept = this.marks.get(stream) ?? new Map();
    for (const mark of marks) kept.set(mark.id, mark);
    for (const [id, mark] of kept)
      if (mark.end !== null && mark.end < this.now - HOUR_S) kept.delete(id);
    this.marks.set(stream, kept);
  }

  takeOwn(own) {
    if (own.curve) [this.own.curve, this.own.rows] = [own.curve, []];
    if (own.rows) this.own.rows = [...this.own.rows, ...own.rows].slice(-180);
    if (own.clip) this.own.clip = own.clip.map((one) => `data:image/jpeg;base64,${one}`);
    this.own.figures = own.figures ?? this.own.figures;
  }

  marksOf(stream) {
    return [...(this.marks.get(stream)?.values() ?? [])];
  }

  openOf(stream) {
    return this.marksOf(stream).filter((mark) => mark.end === null);
  }
}

// Marks of the last hour as one path of a drawing that is 3600 wide and 10 high.
export function hourPath(marks, now) {
  const from = now - HOUR_S;
  return marks
    .filter((mark) => (mark.end ?? now) >= from)
    .map((mark) => {
      const x = Math.max(0, mark.start - from);
      const width = Math.max(1, (mark.end ?? now) - from - x);
      return `M${x.toFixed(0)} 0h${width.toFixed(0)}v10h-${width.toFixed(0)}z`;
    })
    .join("");
}
