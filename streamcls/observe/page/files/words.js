// What states are called, and what they look like.

const STATES = {
  connecting: ["connecting", "busy"],
  warming_up: ["warming up", "busy"],
  up: ["live", "up"],
  stale: ["no new frames", "stale"],
  backoff: ["down", "down"],
  failed: ["failed", "down"],
  stopped: ["stopped", "over"],
};

export function state(tile) {
  if (tile.state === "stale" && tile.reason === "frozen") return "frozen picture";
  if (tile.state === "connecting" && tile.attempt) return "reconnecting";
  if (tile.state === "stopped" && tile.reason === "end_of_file") return "ended";
  return STATES[tile.state]?.[0] ?? "not started";
}

export function tone(tile) {
  // A camera that is tried again has not come back yet.
  if (tile.state === "connecting" && tile.attempt) return "down";
  return STATES[tile.state]?.[1] ?? "over";
}

export function why(tile, now) {
  if (!["stale", "backoff", "failed", "connecting", "stopped"].includes(tile.state)) return "";
  const parts = [tile.detail || (tile.reason === "end_of_file" ? "" : tile.reason)];
  if (tile.retry_at) parts.push(`again in ${Math.max(0, Math.ceil(tile.retry_at - now))} s`);
  else if (tile.attempt) parts.push(`attempt ${tile.attempt + 1}`);
  return parts.filter(Boolean).join("; ");
}

// What stands in the place of a label where there is none.
export const since = (tile) =>
  tile.since && tone(tile) !== "busy" && tone(tile) !== "up" ? `since ${clock(tile.since)}` : "";

export const percent = (score) => (score === null ? "" : `${Math.round(100 * score)} %`);

export function lasted(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export const clock = (seconds) =>
  new Date(1000 * seconds).toLocaleTimeString("en-GB", { hour12: false });

export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

const REASONS = {
  label_off: "its label",
  stream_lost: "a break",
  reload: "a reload",
  shutdown: "a shutdown",
  crash_recovered: "a crash",
};
export const ended = (mark) => (mark.end === null ? "" : (REASONS[mark.reason] ?? mark.reason ?? ""));
