// A day's recordings as a bar: seconds to places and back, what is recorded where, where one may go. Pure.
import type { Recording } from '@/wire/types'

export interface Span {
  from: number // Unix seconds
  to: number
}
export interface Segment extends Span {
  alarm: boolean
  left: number // 0..1 of the bar
  width: number
}

export const DAY = 86_400
export const WIDTHS = [DAY, 4 * 3_600, 3_600] as const // what the bar can show: a day, four hours, one

/** Midnight to midnight by this machine's clock; 23 or 25 hours where clocks are changed. */
export function dayOf(year: number, month: number, day: number): Span {
  return { from: new Date(year, month - 1, day).getTime() / 1000, to: new Date(year, month - 1, day + 1).getTime() / 1000 }
}

export const isAlarm = (record: { type: string }): boolean => record.type === 'alarm'

/** What the bar shows of these recordings. Touching ones of a kind are drawn as one; slivers are kept visible. */
export function segments(records: readonly Recording[], bar: Span): Segment[] {
  const length = bar.to - bar.from
  const out: Segment[] = []
  for (const alarm of [false, true]) {
    let last: Segment | null = null
    const kind = records.filter((record) => isAlarm(record) === alarm).sort((a, b) => a.start_s - b.start_s)
    for (const record of kind) {
      const from = Math.max(bar.from, record.start_s)
      const to = Math.min(bar.to, record.end_s)
      if (to <= from) continue
      if (last && from <= last.to + length / 2_000) last.to = Math.max(last.to, to)
      else out.push((last = { from, to, alarm, left: 0, width: 0 }))
    }
  }
  for (const one of out) {
    one.left = (one.from - bar.from) / length
    one.width = Math.max(0.001, (one.to - one.from) / length)
  }
  return out
}

export function placeOf(at: number, bar: Span): number {
  return (at - bar.from) / (bar.to - bar.from)
}

export function timeAt(place: number, bar: Span): number {
  return bar.from + Math.max(0, Math.min(1, place)) * (bar.to - bar.from)
}

/** A bar of this width around a moment, inside the day. */
export function around(at: number, width: number, day: Span): Span {
  const length = Math.min(width, day.to - day.from)
  const from = Math.max(day.from, Math.min(day.to - length, at - length / 2))
  return { from, to: from + length }
}

/** The moment itself where something is recorded, else the beginning of the next recording, else null. */
export function playable(records: readonly Recording[], at: number): number | null {
  if (records.some((record) => record.start_s <= at && at < record.end_s)) return at
  const next = records.filter((record) => record.start_s >= at).map((record) => record.start_s)
  return next.length ? Math.min(...next) : null
}

/** Where to begin: today what has just been recorded is wanted, of a day gone by its first recording. Null: none. */
export function begin(records: readonly Recording[], day: Span, today: boolean, back = 300): number | null {
  if (!records.length) return null
  const end = Math.min(day.to, Math.max(...records.map((record) => record.end_s)))
  const first = today ? stretch(records, end - 1)?.from : Math.min(...records.map((record) => record.start_s))
  return Math.max(day.from, first ?? end - 1, today ? end - back : day.from)
}

/** One stretch without a gap from a moment on (recordings that touch count as one), or null. */
export function stretch(records: readonly Recording[], at: number, gap = 2): Span | null {
  const sorted = [...records].sort((a, b) => a.start_s - b.start_s)
  let found: Span | null = null
  for (const record of sorted) {
    if (!found) {
      if (record.start_s <= at && at < record.end_s) found = { from: record.start_s, to: record.end_s }
    } else if (record.start_s <= found.to + gap) found.to = Math.max(found.to, record.end_s)
    else break
  }
  return found
}

/** About how many bytes a span has, by what the device said of its files; null where it said nothing. */
export function bytesOf(records: readonly Recording[], span: Span): number | null {
  let sum = 0
  let known = false
  for (const record of records) {
    const shared = Math.min(span.to, record.end_s) - Math.max(span.from, record.start_s)
    if (shared <= 0 || !record.bytes || record.end_s <= record.start_s) continue
    known = true
    sum += (record.bytes * shared) / (record.end_s - record.start_s)
  }
  return known ? Math.round(sum) : null
}

/** Marks of the bar: whole hours or minutes, as many as can be read. */
export function marks(bar: Span): number[] {
  const length = bar.to - bar.from
  const every = length > 12 * 3_600 ? 2 * 3_600 : length > 2 * 3_600 ? 1_800 : 600
  const first = dayStart(bar.from)
  const out: number[] = []
  for (let at = first; at <= bar.to && out.length < 200; at += every) if (at >= bar.from) out.push(at)
  return out
}

function dayStart(at: number): number {
  const day = new Date(at * 1000)
  return new Date(day.getFullYear(), day.getMonth(), day.getDate()).getTime() / 1000
}

/** Where playback stands: a device tells no position, so it follows from the commands and the clock. */
export class Cursor {
  private at: number
  private since: number | null = null // ms, when the clock began to run

  constructor(start: number, private speed = 1) {
    this.at = start
  }

  position(now: number): number {
    return this.since === null ? this.at : this.at + ((now - this.since) / 1000) * this.speed
  }

  run(now: number): void {
    this.since ??= now
  }

  pause(now: number): void {
    this.at = this.position(now)
    this.since = null
  }

  go(to: number, now: number): void {
    this.at = to
    if (this.since !== null) this.since = now
  }

  setSpeed(speed: number, now: number): void {
    this.at = this.position(now)
    if (this.since !== null) this.since = now
    this.speed = speed
  }
}
