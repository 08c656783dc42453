import { describe, expect, it } from 'vitest'
import { mediaMs, Progress } from './progress'

/** Frames at 25 a second from `at`, RTP from `rtp`, each `spacing` ms of media time after the other. */
function play(progress: Progress, at: number, rtp: number, frames: number, spacing = 40, every = 40): boolean[] {
  return Array.from({ length: frames }, (_, n) => progress.push(at + n * every, (rtp + n * spacing * 90) >>> 0))
}

describe('mediaMs', () => {
  it('goes over the edge of 32 bits', () => {
    expect(mediaMs(2 ** 32 - 90, 90)).toBe(2)
    expect(mediaMs(90, 2 ** 32 - 90)).toBe(-2)
  })
})

describe('Progress', () => {
  it('takes every frame of an ordinary stream', () => {
    expect(play(new Progress(), 0, 2 ** 32 - 4_000, 50)).not.toContain(false)
  })

  it('takes the drawn-together first pictures of a joining viewer', () => {
    const progress = new Progress()
    expect(play(progress, 0, 0, 50, 1, 2)).not.toContain(false)
    expect(play(progress, 100, 4_500, 10)).not.toContain(false)
  })

  it('does not take old pictures that are sent again during a pause', () => {
    const progress = new Progress()
    play(progress, 0, 0, 50)
    for (let replay = 0; replay < 20; replay += 1) {
      expect(play(progress, 5_000 + replay * 3_000, 49 * 3_600 + 1 + replay * 1_800, 32, 0.6, 5)).not.toContain(true)
    }
  })

  it('takes the stream again at once when the source went on meanwhile', () => {
    const progress = new Progress()
    play(progress, 0, 0, 50)
    expect(play(progress, 12_000, 12_000 * 90, 5)).toEqual([true, true, true, true, true])
  })

  it('takes the stream again after 100 ms when the source had stopped its clock', () => {
    const progress = new Progress()
    play(progress, 0, 0, 50)
    expect(play(progress, 12_000, 2_000 * 90, 5)).toEqual([false, false, false, true, true])
  })

  it('takes a camera that sends a picture every two seconds', () => {
    expect(play(new Progress(), 0, 0, 10, 2_000, 2_000)).not.toContain(false)
  })
})
