// All machines as they are now, for whoever shows them.
import { get, of } from "./api.js";

// Which alarm speaks for several of a kind: the one that needs a person most.
const WORDS = ["active", "acknowledged", "cleared", "shelved"];

export const keyOf = (one) => JSON.stringify([one.machine, one.section]);
export const labelOf = (one) => one.label ?? (one.section === "00" ? one.machine : `${one.machine} ${one.section}`);
export const machineHash = (one) => `#/m/${[one.machine, one.section].map(encodeURIComponent).join("/")}`;
export const waits = (alarm) => alarm.state === "active" || alarm.state === "cleared";

export class Fleet {
  constructor() {
    this.machines = new Map();
    this.ready = null; // when all were fetched
    this.failed = false;
    this.said = new Map(); // number of an alarm → what people said of it
  }

  // What people said of alarms, as the list of them tells it.
  hear(alarms) {
    for (const { id, said } of alarms) if (said) this.said.set(id, said);
  }

  async ask() {
    const { alarms } = await get("/alarms");
    this.hear(alarms);
  }

  again() {
    this.failed = false;
    this.ready = this.load();
    this.ready.catch(() => { this.failed = true; }); // whoever waits is told; nobody else need be
    return this.ready;
  }

  get all() {
    return [...this.machines.values()];
  }

  // Alarms that nobody has answered, newest first.
  get waiting() {
    return this.all.flatMap((one) => one.alarms).filter(waits)
      .sort((a, b) => Date.parse(b.since) - Date.parse(a.since) || b.id - a.id);
  }

  find(one) {
    return this.machines.get(keyOf(one));
  }

  async load() {
    const [{ machines }] = await Promise.all([get("/machines"), this.ask().catch(() => {})]);
    this.machines = new Map(machines.map((one) => [keyOf(one), one]));
  }

  async refresh(one) {
    this.take(await get(of(one)));
  }

  // An alarm that was answered: shown at once, though the watch says so only with its next look.
  answered(alarm) {
    const one = this.find(alarm);
    if (!one) return;
    const alarms = one.alarms.map((other) => (other.id === alarm.id ? alarm : other)).filter((other) => other.state !== "closed");
    const word = (kind) => WORDS.find((state) => alarms.some((other) => other.kind === kind && other.state === state)) ?? "none";
    const sound = word("machine");
    const stands = sound === "active" || sound === "acknowledged";
    const state = one.state === "alarm" && !stands ? (one.anomalous ? "anomalous" : "normal") : one.state;
    this.take({ ...one, alarms, sound, sensor: word("sensor"), drift: word("drift"), state });
  }

  // A bulletin knows less of a machine than the list: what it does not say stays.
  take(said) {
    const key = keyOf(said);
    const known = this.machines.get(key);
    this.machines.set(key, { ...known, ...said, label: said.label ?? known?.label });
    if (known && JSON.stringify(known.alarms) !== JSON.stringify(said.alarms)) this.stale = true; // somebody may have said something
    return known !== undefined;
  }
}
