// The protocol trace: what is wrong at a glance, what is looked for, and all of it as text. Pure.
import { clockTime, dayOf } from '@/ui/time'
import type { TraceEntry } from '@/wire/types'

export type Tone = 'plain' | 'challenge' | 'refused' | 'broken'
export type Side = 'all' | 'in' | 'out' | 'wrong'

/** 401 and 407 only ask for a password: every registration has one. 4xx is refused, 5xx and 6xx broken. */
export function toneOf(entry: { summary: string }): Tone {
  const status = Number(/^(\d{3})\b/.exec(entry.summary)?.[1] ?? 0)
  if (status === 401 || status === 407) return 'challenge'
  if (status >= 500) return 'broken'
  return status >= 400 ? 'refused' : 'plain'
}

export function shown(entries: readonly TraceEntry[], side: Side, search: string): TraceEntry[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  return entries.filter((entry) => {
    if ((side === 'in' || side === 'out') && entry.direction !== side) return false
    if (side === 'wrong' && !['refused', 'broken'].includes(toneOf(entry))) return false
    const text = `${entry.summary}\n${entry.peer}\n${entry.text}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
}

const stamp = (at: number): string => `${clockTime(at)}.${String(Math.floor(at) % 1000).padStart(3, '0')}`

export const timeOf = stamp

/** As a file: one head line a message, then the message as it was. */
export function asText(entries: readonly TraceEntry[]): string {
  return entries
    .map((entry) => `${dayOf(entry.at)} ${stamp(entry.at)} ${entry.direction === 'in' ? '<-' : '->'} ${entry.transport.toUpperCase()} ${entry.peer}\n${entry.text.replace(/\r\n/g, '\n').trimEnd()}\n`)
    .join('\n')
}

/** Entries have no identifiers: time, direction and place among their equals name one. */
export function keysOf(entries: readonly TraceEntry[]): string[] {
  const seen = new Map<string, number>()
  return entries.map((entry) => {
    const key = `${String(entry.at)}/${entry.direction}/${entry.summary}`
    const n = seen.get(key) ?? 0
    seen.set(key, n + 1)
    return `${key}/${String(n)}`
  })
}
