// Recordings on their way to the server: some at a time, so that one can stop and go on.
import { ApiError } from "./api.js";
import { language } from "./words.js";

const SUFFIXES = /\.(wav|wave|w64|rf64|bwf|aif|aiff|au|flac)$/i; // what the server takes
const FILES = 12; // of one request
const BYTES = 24e6;
const AGAIN = [1, 3, 8]; // s; then it waits for somebody

export class Upload {
  constructor(files, limit, who, changed) {
    const kept = files.filter(({ name }) => SUFFIXES.test(name) && !name.split("/").some((part) => part.startsWith(".")));
    this.files = kept.sort((a, b) => (a.name < b.name ? -1 : 1));
    this.bytes = kept.reduce((sum, { file }) => sum + file.size, 0);
    this.limit = Math.min(BYTES, limit || BYTES);
    this.who = who;
    this.changed = changed;
    this.done = 0; // files that are there
    this.kept = 0; // their bytes
    this.under = 0; // bytes of the request that runs
    this.stopped = false;
    this.request = null;
    this.told = { stored: 0, known: 0, left_out: files.length - kept.length, refused: [] }; // over all requests
  }

  get waits() {
    return this.done < this.files.length;
  }

  get sent() {
    return this.kept + this.under;
  }

  // Seconds until all is there, by how it went so far.
  get left() {
    const [took, sent] = [(performance.now() - this.began) / 1000, this.sent - this.before];
    return took > 3 && sent > 0 && !this.stopped ? ((this.bytes - this.sent) * took) / sent : 0;
  }

  // Sends what is not there yet. Raises what the server said of a request that failed.
  async run() {
    this.stopped = false;
    [this.began, this.before] = [performance.now(), this.sent];
    while (this.waits && !this.stopped) {
      const some = this.#next();
      try {
        this.#add(await this.#patiently(some));
      } catch (error) {
        const own = this.stopped;
        this.stopped = true;
        if (own) break;
        throw error;
      } finally {
        this.under = 0;
      }
      this.done += some.length;
      this.kept += some.reduce((sum, { file }) => sum + file.size, 0);
      this.changed();
    }
    return this.told;
  }

  stop() {
    this.stopped = true;
    this.request?.abort();
  }

  #add({ stored = 0, known = 0, left_out: left = 0, refused = [] }) {
    this.told.stored += stored;
    this.told.known += known;
    this.told.left_out += Array.isArray(left) ? left.length : left;
    this.told.refused.push(...refused);
  }

  #next() {
    const some = [];
    let bytes = 0;
    for (const one of this.files.slice(this.done, this.done + FILES)) {
      if (some.length && bytes + one.file.size > this.limit) break;
      some.push(one);
      bytes += one.file.size;
    }
    return some;
  }

  // Again after a pause where nobody answered or the server was busy; what is there is not stored twice.
  async #patiently(some) {
    for (let tried = 0; ; tried += 1) {
      try {
        return await this.#send(some);
      } catch (error) {
        if (this.stopped || ![0, 429, 503].includes(error.status) || tried >= AGAIN.length) throw error;
        await new Promise((done) => setTimeout(done, 1000 * AGAIN[tried]));
      }
    }
  }

  // By XMLHttpRequest: fetch does not tell how much was sent.
  #send(some) {
    const form = new FormData();
    for (const { file, name } of some) form.append("audio", file, name);
    return new Promise((done, not) => {
      const request = (this.request = new XMLHttpRequest());
      request.open("POST", `/api/setup/recordings?${new URLSearchParams({ who: this.who })}`);
      request.setRequestHeader("X-Nearfar", "1");
      request.responseType = "json";
      request.upload.onprogress = (event) => {
        this.under = Math.min(event.loaded, some.reduce((sum, { file }) => sum + file.size, 0));
        this.changed();
      };
      request.onload = () => {
        const said = request.response ?? {};
        if (request.status < 300) done(said);
        else not(new ApiError(request.status, said.error ?? request.statusText, said.faults));
      };
      request.onerror = request.onabort = () => not(new ApiError(0, ""));
      request.send(form);
    });
  }
}

// How long something takes, as people say it.
export function moments(seconds) {
  const [value, unit] = seconds < 90 ? [Math.ceil(seconds / 5) * 5, "second"] : [Math.ceil(seconds / 60), "minute"];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(value);
}
