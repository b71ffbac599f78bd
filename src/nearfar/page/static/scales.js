// Where a time and a p-value stand in a picture, and which marks an axis has.
import { clock, day, month, seconds } from "./shown.js";

const MINUTE = 60000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [10000, 30000, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY];
const APART = 84; // px between marks of time, at least

// A line from [a, b] to [c, d].
export const line = (a, b, c, d) => (value) => c + ((value - a) * (d - c)) / (b - a || 1);

// Marks of time with their texts: round in the reader's own clock, not in UTC.
export function times(since, until, width) {
  const most = Math.max(2, Math.floor(width / APART));
  const step = STEPS.find((one) => (until - since) / one <= most);
  if (!step) return months(since, until, most);
  const marks = [];
  const at = new Date(since);
  at.setHours(0, 0, 0, 0);
  // Days are stepped by the calendar: one of them has 23 hours, another 25.
  if (step >= DAY) {
    const days = step / DAY;
    at.setDate(at.getDate() - (days > 1 ? (at.getDate() - 1) % days : 0));
    for (; at.getTime() <= until; at.setDate(at.getDate() + days)) marks.push([at.getTime(), day(at)]);
  } else {
    const from = at.getTime() + Math.ceil((since - at.getTime()) / step) * step;
    for (let mark = from; mark <= until; mark += step) marks.push([mark, text(mark, step)]);
  }
  return marks.filter(([mark]) => mark >= since);
}

function text(mark, step) {
  const at = new Date(mark);
  if (at.getHours() === 0 && at.getMinutes() === 0 && at.getSeconds() === 0) return day(at);
  return step < MINUTE ? seconds(at) : clock(at);
}

function months(since, until, most) {
  const start = new Date(since);
  const all = (until - since) / (30 * DAY);
  const by = [1, 2, 3, 6, 12, 24, 60].find((one) => all / one <= most) ?? 120;
  const marks = [];
  for (let at = new Date(start.getFullYear(), 0, 1); at.getTime() <= until; at.setMonth(at.getMonth() + by)) {
    if (at.getTime() >= since) marks.push([at.getTime(), month(at)]);
  }
  return marks;
}

// From which p clips are called anomalous. Few normal clips give no small p: then what was called so
// shows where the line is, however small the rate that was asked for.
export function limit(rate, called) {
  return rate ? called.reduce((most, p) => (p > most ? p : most), rate) : null;
}

// Where an alarm is in a timeline, on the clock of its clips: that of recordings may be another.
export function spanOf(alarm, now) {
  const [from, to] = "from_ms" in alarm ? [alarm.from_ms, alarm.to_ms]
    : [Date.parse(alarm.since), alarm.cleared ? Date.parse(alarm.cleared) : null];
  return [from, Math.max(from, to ?? now)];
}

// Decades of p that a picture has upward: room for the threshold, and for the smallest p.
export function decades(smallest, rate) {
  const highest = Math.max(-Math.log10(smallest ?? 1), -Math.log10(rate || 0.1));
  return Math.max(2, highest) + 0.35;
}

// The place of what is nearest to a value in a rising list; -1: it is empty.
export function nearest(list, value) {
  let low = 0;
  let high = list.length - 1;
  if (high < 0) return -1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low > 0 && value - list[low - 1] <= list[low] - value ? low - 1 : low;
}
