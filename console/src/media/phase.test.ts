import { describe, expect, it } from 'vitest'
import { judge, step, type Phase, type PhaseEvent } from './phase'

describe('step', () => {
  it.each<[Phase, PhaseEvent, Phase]>([
    ['idle', 'start', 'connecting'],
    ['connecting', 'frame', 'live'],
    ['connecting', 'failed', 'lost'],
    ['live', 'quiet', 'frozen'],
    ['frozen', 'frame', 'live'],
    ['frozen', 'failed', 'lost'],
    ['lost', 'retry', 'connecting'],
    ['live', 'stop', 'idle'],
  ])('%s and %s: %s', (from, event, to) => {
    expect(step(from, event)).toBe(to)
  })

  it.each<[Phase, PhaseEvent]>([
    ['idle', 'frame'],
    ['lost', 'frame'], // a late picture never makes a lost tile live
    ['lost', 'quiet'],
    ['live', 'start'],
    ['connecting', 'retry'],
  ])('refuses %s and %s', (from, event) => {
    expect(() => step(from, event)).toThrow(/not possible/)
  })
})

describe('judge', () => {
  const limits = { frozenAfter: 1_500, lostAfter: 5_000, firstFrameWithin: 10_000, silentAfter: 2_000 }
  it.each<[Phase, number, PhaseEvent | null]>([
    ['live', 1_499, null],
    ['live', 1_500, 'quiet'],
    ['live', 5_000, 'failed'],
    ['frozen', 4_999, null],
    ['frozen', 5_000, 'failed'],
    ['connecting', 9_999, null],
    ['connecting', 10_000, 'failed'],
    ['lost', 99_999, null],
    ['idle', 99_999, null],
  ])('%s and %d ms of silence: %s', (phase, quiet, verdict) => {
    expect(judge(phase, quiet, limits)).toBe(verdict)
  })

  it('does not wait for a relay that sends nothing at all', () => {
    expect(judge('frozen', 2_000, limits, 1_999)).toBeNull()
    expect(judge('frozen', 2_000, limits, 2_000)).toBe('failed')
    expect(judge('live', 1_000, limits, 9_000)).toBeNull() // pictures are what counts
  })
})
