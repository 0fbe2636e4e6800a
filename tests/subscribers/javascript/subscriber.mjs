// A complete subscriber that misses nothing, or says what it missed. Of streamcls it knows the
// published schema and this:
//
// 1. Subscribe, then ask the second socket for a `snapshot`: where each topic stands, what is open.
// 2. A message whose `sequence` is one more than the last of its topic and `bootid` is next. One
//    that is not greater is a repetition. Else something is missing, and a `replay` brings it. A
//    heartbeat's `sequences` tell of a missing last message.
// 3. Another `bootid` is another run of the daemon: replay every topic, from the old run into it.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { Dealer, Subscriber } from "zeromq";

const USAGE =
  "usage: node subscriber.mjs ENDPOINT [--replay ENDPOINT] [--schema PATH] [--kind KIND]..." +
  " [--earliest] [--secret FILE --server FILE]";
const ROOT = "streamcls/v1/";
const KINDS = ["prediction", "event", "status"];
const PATIENCE_MS = 5000; // how long an answer may take before the question is put again

class Failure extends Error {}

const kindOf = (topic) => topic.split("/")[3];
const print = (value) => console.log(JSON.stringify(value));
const printGap = (topic, bootid, first, last) => print({ gap: { topic, bootid, first, last } });

// Holds what goes over the wire against the published schema.
class Schema {
  constructor(path) {
    this.ajv = addFormats(new Ajv2020());
    this.ajv.addSchema(JSON.parse(readFileSync(path, "utf8")), "streamcls");
    this.message = this.ajv.getSchema("streamcls");
    this.request = this.ajv.getSchema("streamcls#/$defs/Request");
    this.answer = this.ajv.getSchema("streamcls#/$defs/Answer");
  }

  check(what, value) {
    if (this[what](value)) return value;
    const errors = this.ajv.errorsText(this[what].errors, { dataVar: what });
    throw new Failure(`out of schema: ${errors}`);
  }

  parse(what, frame) {
    try {
      return this.check(what, JSON.parse(frame));
    } catch (error) {
      if (error instanceof SyntaxError) throw new Failure(`${what} is not JSON: ${error.message}`);
      throw error;
    }
  }
}

// The second socket: each question has one answer, a head and the messages that follow it.
class Questions {
  constructor(endpoint, keys, schema) {
    Object.assign(this, { endpoint, keys, schema, number: 0 });
    this.connect();
  }

  connect() {
    this.socket = new Dealer({ ...this.keys, linger: 0, receiveTimeout: PATIENCE_MS });
    this.socket.connect(this.endpoint);
  }

  async ask(question) {
    for (;;) {
      const request = this.schema.check("request", { ...question, request: ++this.number });
      await this.socket.send(JSON.stringify(request));
      try {
        return this.read(await this.socket.receive(), request);
      } catch (error) {
        if (error.code !== "EAGAIN") throw error;
        this.socket.close(); // the daemon is away; a late answer must not be taken for the next one
        this.connect();
      }
    }
  }

  read([first, ...frames], request) {
    const head = this.schema.parse("answer", first);
    if (head.request !== request.request) throw new Failure(`not what was asked: ${first}`);
    const messages = [];
    for (let i = 0; i < frames.length; i += 2) {
      const [topic, body] = frames.slice(i, i + 2);
      messages.push({ topic: topic.toString(), message: this.schema.parse("message", body) });
    }
    return { head, messages };
  }

  async snapshot() {
    const answer = await this.ask({ op: "snapshot" });
    if (answer.head.op !== "snapshot") throw new Failure(`no snapshot: ${answer.head.detail}`);
    return answer;
  }
}

// What was seen of each topic. A position is the last message seen: { bootid, sequence }.
class Account {
  constructor(questions, kinds) {
    Object.assign(this, { questions, kinds });
    this.bootid = ""; // the daemon's present run
    this.over = new Set(); // runs left behind: what still comes from them was seen in a replay
    this.positions = new Map();
  }

  async start(earliest) {
    const { head, messages } = await this.questions.snapshot();
    this.bootid = head.bootid;
    for (const [topic, sequence] of Object.entries(head.sequences)) {
      if (!this.kinds.has(kindOf(topic))) continue;
      const newest = { bootid: head.bootid, sequence };
      if (earliest) await this.catchUp(topic, newest);
      else this.positions.set(topic, newest);
    }
    if (!earliest) this.printPresent(messages);
  }

  // The newest message of each topic and of each open event; one may be both.
  printPresent(messages) {
    const wanted = messages.filter(({ topic }) => this.kinds.has(kindOf(topic)));
    const present = [...new Map(wanted.map(({ message }) => [message.id, message])).values()];
    present.sort((a, b) => Date.parse(a.time) - Date.parse(b.time)).forEach(print);
  }

  async hear(topic, message) {
    const { bootid, sequence, subject, data } = message;
    if (bootid !== this.bootid && !this.over.has(bootid)) await this.enterRun(bootid);
    if (this.kinds.has(kindOf(topic))) {
      await this.catchUp(topic, { bootid, sequence: sequence - 1 });
      if (!this.isSeen(topic, message)) {
        print(message);
        this.positions.set(topic, { bootid, sequence });
      }
    }
    if (!data.heartbeat) return;
    for (const [kind, newest] of Object.entries(data.sequences ?? {})) {
      const other = `${ROOT}${subject}/${kind}/`;
      if (this.kinds.has(kind)) await this.catchUp(other, { bootid, sequence: newest });
    }
  }

  // What is missing of the new run itself, its messages and heartbeats will show.
  async enterRun(heard) {
    const { head } = await this.questions.snapshot();
    for (const topic of new Set([...this.positions.keys(), ...Object.keys(head.sequences)])) {
      const begin = { bootid: head.bootid, sequence: 0 };
      if (this.kinds.has(kindOf(topic))) await this.catchUp(topic, begin);
    }
    if (heard !== head.bootid) this.over.add(heard); // it was over before it was heard
    this.bootid = head.bootid;
  }

  // Prints all up to a place that exists, in order, and tells what of it cannot be had.
  async catchUp(topic, place) {
    let more = !this.isSeen(topic, place);
    while (more) {
      const after = this.positions.get(topic) ?? null;
      const { head, messages } = await this.questions.ask({ op: "replay", topic, after });
      if (head.op === "refusal") break;
      this.printReplay(topic, head, messages);
      more = head.more;
    }
    if (!this.isSeen(topic, place)) this.giveUp(topic, place);
  }

  printReplay(topic, { missing, through }, messages) {
    for (let i = 0; i <= messages.length; i++) {
      for (const { bootid, first, last, before } of missing) {
        if (before === i) printGap(topic, bootid, first, last);
      }
      if (i < messages.length) print(messages[i].message);
    }
    if (through) this.move(topic, through);
  }

  // No replay led there.
  giveUp(topic, place) {
    const seen = this.positions.get(topic);
    const sameRun = seen?.bootid === place.bootid;
    if (seen && !sameRun) printGap(topic, seen.bootid, seen.sequence + 1, null);
    const first = sameRun ? seen.sequence + 1 : 1;
    if (first <= place.sequence) printGap(topic, place.bootid, first, place.sequence);
    this.move(topic, place);
  }

  move(topic, position) {
    const before = this.positions.get(topic);
    if (before && before.bootid !== position.bootid) this.over.add(before.bootid);
    this.positions.set(topic, position);
  }

  isSeen(topic, { bootid, sequence }) {
    const seen = this.positions.get(topic);
    return this.over.has(bootid) || (seen?.bootid === bootid && seen.sequence >= sequence);
  }
}

// The next port, or the path with `.replay`: where the daemon answers unless told otherwise.
function replayEndpointOf(endpoint) {
  if (endpoint.startsWith("ipc://")) return `${endpoint}.replay`;
  return endpoint.replace(/\d+$/, (port) => Number(port) + 1);
}

// Reads ZeroMQ's certificate files: lines such as `public-key = "..."`.
function readKeys(secretFile, serverFile) {
  if (!secretFile && !serverFile) return {};
  if (!secretFile || !serverFile) throw new Failure("--secret and --server go together");
  const read = (path, name) => {
    const key = readFileSync(path, "utf8").match(new RegExp(`${name}-key = "(.{40})"`));
    if (!key) throw new Failure(`${path} has no line ${name}-key = "..."`);
    return key[1];
  };
  return {
    curveServerKey: read(serverFile, "public"),
    curvePublicKey: read(secretFile, "public"),
    curveSecretKey: read(secretFile, "secret"),
  };
}

function readArguments() {
  const text = { type: "string" };
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      replay: text,
      schema: text,
      kind: { type: "string", multiple: true, default: KINDS },
      earliest: { type: "boolean" },
      secret: text,
      server: text,
    },
  });
  const strange = values.kind.find((kind) => !KINDS.includes(kind));
  if (strange) throw new Failure(`--kind is ${strange}; it must be one of ${KINDS.join(", ")}`);
  if (positionals.length !== 1) throw new Failure(USAGE);
  return { endpoint: positionals[0], ...values };
}

async function main() {
  const options = readArguments();
  const schema = new Schema(
    options.schema ?? new URL("../../../streamcls/schema.json", import.meta.url),
  );
  const keys = readKeys(options.secret, options.server);
  const subscriber = new Subscriber(keys);
  // ZeroMQ does not knock again where a key was refused.
  subscriber.events.on("handshake:error:auth", () =>
    fail(new Failure(`the daemon at ${options.endpoint} refuses this client's key`)),
  );
  subscriber.connect(options.endpoint);
  subscriber.subscribe(ROOT); // all of it: statuses carry the heartbeats that show what is missing
  const replays = options.replay ?? replayEndpointOf(options.endpoint);
  const account = new Account(new Questions(replays, keys, schema), new Set(options.kind));
  await account.start(options.earliest);
  for await (const [topic, body] of subscriber) {
    await account.hear(topic.toString(), schema.parse("message", body ?? ""));
  }
}

function fail(error) {
  const about = error.address ? ` ${error.address}` : ""; // ZeroMQ's own words name none
  console.error(`subscriber: ${error.message}${about}`);
  process.exit(1);
}

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));
main().catch(fail);
