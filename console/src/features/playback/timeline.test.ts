import { describe, expect, it } from 'vitest'
import type { Recording } from '@/wire/types'
import { around, begin, bytesOf, Cursor, DAY, dayOf, marks, placeOf, playable, segments, stretch, timeAt } from './timeline'

const day = dayOf(2026, 11, 21)
const hour = (n: number): number => day.from + n * 3_600
const record = (from: number, to: number, type = 'time', bytes: number | null = null): Recording =>
  ({ name: '', start_s: hour(from), end_s: hour(to), type, bytes })

describe('segments', () => {
  it('lie where they were recorded, cut to the bar', () => {
    expect(segments([record(-1, 6), record(12, 18)], day).map(({ left, width }) => [left, width])).toEqual([[0, 0.25], [0.5, 0.25]])
  })

  it('join where recordings touch, and keep alarms apart', () => {
    const found = segments([record(1, 2), record(2, 3), record(2.2, 2.4, 'alarm')], day)
    expect(found.map(({ from, to, alarm }) => [from, to, alarm])).toEqual([[hour(1), hour(3), false], [hour(2.2), hour(2.4), true]])
  })

  it('are never too thin to be seen, and leave out what is not on the bar', () => {
    const [one, ...rest] = segments([record(5, 5.001), record(30, 31)], day)
    expect(one?.width).toBe(0.001)
    expect(rest).toEqual([])
  })

  it('stay few when there are thousands of files', () => {
    const many = Array.from({ length: 5_000 }, (_, at) => record(at / 300, (at + 1) / 300))
    expect(segments(many, day)).toHaveLength(1)
  })
})

describe('places and times', () => {
  it('are each other’s inverse, and end at the ends', () => {
    expect(placeOf(hour(6), day)).toBe(0.25)
    expect(timeAt(0.25, day)).toBe(hour(6))
    expect([timeAt(-1, day), timeAt(2, day)]).toEqual([day.from, day.to])
  })

  it('zoom around a moment without leaving the day', () => {
    expect(around(hour(12), 3_600, day)).toEqual({ from: hour(11.5), to: hour(12.5) })
    expect(around(hour(0.1), 3_600, day)).toEqual({ from: hour(0), to: hour(1) })
    expect(around(hour(23.9), 4 * 3_600, day)).toEqual({ from: hour(20), to: hour(24) })
    expect(around(hour(3), DAY, day)).toEqual(day)
  })

  it('have marks that can be read', () => {
    expect(marks(day)).toHaveLength(13)
    expect(marks(around(hour(12), 3_600, day)).every((at) => at % 600 === 0)).toBe(true)
  })
})

describe('begin', () => {
  const records = [record(-1, 2), record(3, 3.5), record(3.5, 4)]
  it('is five minutes before the end of today’s last recording', () => {
    expect(begin(records, day, true)).toBe(hour(4) - 300)
  })

  it('does not go back behind a gap', () => {
    expect(begin([record(1, 2), record(3, 3.05)], day, true)).toBe(hour(3))
  })

  it('is the first recording of a day gone by, not before midnight', () => {
    expect(begin(records, day, false)).toBe(day.from)
    expect(begin([record(5, 6)], day, false)).toBe(hour(5))
  })

  it('is nothing where nothing is recorded', () => {
    expect(begin([], day, true)).toBeNull()
  })
})

describe('playable', () => {
  const records = [record(1, 2), record(5, 6)]
  it.each([[1.5, 1.5], [1, 1], [2, 5], [0, 1], [5.99, 5.99]])('at %s plays from %s', (at, from) => {
    expect(playable(records, hour(at))).toBe(hour(from))
  })

  it('is nothing after the last recording', () => {
    expect(playable(records, hour(6))).toBeNull()
  })
})

describe('stretch', () => {
  it('goes on over files that touch, and ends at a gap', () => {
    expect(stretch([record(1, 2), record(2, 3), record(4, 5)], hour(1.5))).toEqual({ from: hour(1), to: hour(3) })
    expect(stretch([record(1, 2)], hour(3))).toBeNull()
  })
})

describe('bytesOf', () => {
  it('is the share of each file, or unknown', () => {
    expect(bytesOf([record(1, 2, 'time', 3_600)], { from: hour(1.5), to: hour(3) })).toBe(1_800)
    expect(bytesOf([record(1, 2)], { from: hour(1), to: hour(2) })).toBeNull()
  })
})

describe('Cursor', () => {
  it('runs with the clock and the speed, rests when paused, and goes where it is sent', () => {
    const cursor = new Cursor(100)
    expect(cursor.position(5_000)).toBe(100)
    cursor.run(5_000)
    expect(cursor.position(7_000)).toBe(102)
    cursor.setSpeed(4, 7_000)
    expect(cursor.position(8_000)).toBe(106)
    cursor.pause(8_000)
    expect(cursor.position(60_000)).toBe(106)
    cursor.go(500, 60_000)
    expect(cursor.position(61_000)).toBe(500)
    cursor.run(61_000)
    expect(cursor.position(61_500)).toBe(502)
  })
})
