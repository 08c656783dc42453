import { describe, expect, it } from 'vitest'
import { Backoff } from './backoff'

describe('Backoff', () => {
  it('doubles up to its limit and begins anew after a success', () => {
    const backoff = new Backoff(1_000, 30_000, () => 0.5)
    expect([1, 2, 3, 4, 5, 6, 7].map(() => backoff.next())).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000])
    backoff.reset()
    expect(backoff.next()).toBe(1_000)
  })

  it('strays by ten per cent, so that consoles do not return as one', () => {
    expect(new Backoff(1_000, 30_000, () => 0).next()).toBe(900)
    expect(new Backoff(1_000, 30_000, () => 1).next()).toBe(1_100)
  })

  it('never overflows', () => {
    const backoff = new Backoff(1_000, 30_000, () => 0.5)
    for (let i = 0; i < 2_000; i += 1) expect(backoff.next()).toBeLessThanOrEqual(30_000)
  })
})
