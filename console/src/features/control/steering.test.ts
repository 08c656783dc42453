import { describe, expect, it } from 'vitest'
import { byDrag, byKeys, byPad, byWheel, DIRECTIONS, isSteeringKey } from './hands'
import { AGAIN, GAP, isStill, MOST_STOPS, RENEW, step, Steering, STILL, sum, type Happening, type Motion, type Phase } from './steering'

const RIGHT: Motion = { pan: 0.5, tilt: 0, zoom: 0 }
const UP: Motion = { pan: 0, tilt: 0.5, zoom: 0 }

describe('the table', () => {
  const legal: [Phase, Happening, Phase][] = [
    ['rest', 'send', 'sending'], ['rest', 'elapsed', 'rest'], ['sending', 'answered', 'gap'], ['sending', 'elapsed', 'sending'],
    ['gap', 'send', 'sending'], ['gap', 'elapsed', 'rest'],
  ]
  it.each(legal)('%s, %s: %s', (from, happened, to) => {
    expect(step(from, happened)).toBe(to)
  })

  it.each(['rest', 'sending', 'gap'].flatMap((from) => ['send', 'answered', 'elapsed'].map((happened) => [from, happened] as [Phase, Happening]))
    .filter(([from, happened]) => !legal.some((row) => row[0] === from && row[1] === happened)))('%s refuses %s', (from, happened) => {
    expect(() => step(from, happened)).toThrow('not possible')
  })
})

/** A hub that answers when told to, and a clock that runs when told to. */
function rig() {
  const sent: Motion[] = []
  const open: { answer: () => Promise<void>; fail: () => Promise<void> }[] = []
  const timers: { run: () => void; ms: number }[] = []
  const failures: unknown[] = []
  const steering = new Steering({
    send: (motion) => {
      sent.push(motion)
      return new Promise((resolve, reject) => {
        const settled = async (): Promise<void> => {
          await Promise.resolve()
          await Promise.resolve()
        }
        open.push({
          answer: () => {
            resolve(null)
            return settled()
          },
          fail: () => {
            reject(new Error('away'))
            return settled()
          },
        })
      })
    },
    failed: (error) => failures.push(error),
    later: (run, ms) => {
      const timer = { run, ms }
      timers.push(timer)
      return () => {
        timers.splice(timers.indexOf(timer), 1)
      }
    },
  })
  const elapse = (): number => {
    const timer = timers.shift()
    if (!timer) throw new Error('no timer runs')
    timer.run()
    return timer.ms
  }
  const answer = () => open.shift()?.answer()
  const fail = () => open.shift()?.fail()
  return { steering, sent, open, timers, failures, elapse, answer, fail }
}

describe('Steering', () => {
  it('sends the first motion at once, and has one message in flight at most', () => {
    const { steering, sent, open } = rig()
    steering.hold('keys', RIGHT)
    steering.hold('keys', UP)
    steering.hold('keys', RIGHT)
    expect(sent).toEqual([RIGHT])
    expect(open).toHaveLength(1)
  })

  it('lets the last state win: what came between is never sent', async () => {
    const { steering, sent, answer, elapse } = rig()
    steering.hold('keys', RIGHT)
    for (const pan of [0.1, 0.2, 0.3, 0.9]) steering.hold('keys', { pan, tilt: 0, zoom: 0 })
    await answer()
    expect(sent).toHaveLength(1) // the gap
    expect(elapse()).toBe(GAP)
    expect(sent).toEqual([RIGHT, { pan: 0.9, tilt: 0, zoom: 0 }])
  })

  it('sends a stop without waiting for the gap', async () => {
    const { steering, sent, answer } = rig()
    steering.hold('keys', RIGHT)
    await answer()
    steering.release()
    expect(sent).toEqual([RIGHT, STILL])
  })

  it('sends the stop as soon as the message in flight is answered', async () => {
    const { steering, sent, answer } = rig()
    steering.hold('drag', RIGHT)
    steering.release()
    expect(sent).toEqual([RIGHT])
    await answer()
    expect(sent).toEqual([RIGHT, STILL])
  })

  it('says nothing when nothing changed', async () => {
    const { steering, sent, answer, elapse } = rig()
    steering.release()
    steering.hold('keys', STILL)
    expect(sent).toEqual([])
    steering.hold('keys', RIGHT)
    await answer()
    steering.hold('keys', { ...RIGHT })
    elapse()
    expect(sent).toEqual([RIGHT])
  })

  it('says again what is held, and no more once it stands still', async () => {
    const { steering, sent, answer, elapse, timers } = rig()
    steering.hold('keys', RIGHT)
    for (let n = 0; n < 3; n += 1) {
      await answer()
      expect(elapse()).toBe(GAP)
      expect(elapse()).toBe(RENEW)
    }
    expect(sent).toEqual([RIGHT, RIGHT, RIGHT, RIGHT])
    await answer()
    steering.release()
    await answer()
    elapse()
    expect(sent.at(-1)).toEqual(STILL)
    expect(timers).toEqual([])
  })

  it('does not let a held motion that is said again overtake a stop', async () => {
    const { steering, sent, answer, elapse } = rig()
    steering.hold('pad', RIGHT)
    await answer()
    elapse()
    steering.release()
    await answer()
    elapse()
    expect(() => elapse()).toThrow('no timer')
    expect(sent).toEqual([RIGHT, STILL])
  })

  it('adds hands up, and one that lets go does not stop the other', async () => {
    const { steering, sent, answer, elapse } = rig()
    steering.hold('keys', RIGHT)
    await answer()
    elapse()
    steering.hold('wheel', { pan: 0, tilt: 0, zoom: 1 })
    await answer()
    elapse()
    steering.hold('keys', STILL)
    expect(sent.at(-1)).toEqual({ pan: 0, tilt: 0, zoom: 1 })
  })

  it('stops a camera whose motion failed, and says so once', async () => {
    const { steering, sent, failures, fail } = rig()
    steering.hold('keys', RIGHT)
    await fail()
    expect(sent).toEqual([RIGHT, STILL])
    expect(failures).toHaveLength(1)
  })

  it('sends a failed stop again until it arrives', async () => {
    const { steering, sent, failures, answer, fail, elapse } = rig()
    steering.hold('keys', RIGHT)
    await answer()
    steering.release()
    await fail()
    expect(elapse()).toBe(AGAIN)
    await fail()
    elapse()
    await answer()
    elapse()
    expect(sent).toEqual([RIGHT, STILL, STILL, STILL])
    expect(failures).toEqual([])
    expect(steering.moving).toBe(false)
  })

  it('gives a stop up after some tries, and says so', async () => {
    const { steering, sent, failures, timers, answer, fail, elapse } = rig()
    steering.hold('keys', RIGHT)
    await answer()
    steering.release()
    for (let tries = 1; tries < MOST_STOPS; tries += 1) {
      await fail()
      elapse()
    }
    await fail()
    elapse()
    expect(sent.filter(isStill)).toHaveLength(MOST_STOPS)
    expect(failures).toHaveLength(1)
    expect(timers).toEqual([])
  })

  it('obeys no hand once it is closed, but still stops', async () => {
    const { steering, sent, answer } = rig()
    steering.hold('pad', RIGHT)
    steering.close()
    steering.hold('pad', UP)
    await answer()
    expect(sent).toEqual([RIGHT, STILL])
  })

  it('ends at rest whatever the hands do, when all let go', async () => {
    const { steering, sent, open, timers, answer, fail, elapse } = rig()
    let seed = 7
    const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
    for (let at = 0; at < 300; at += 1) {
      const what = random()
      if (what < 0.5) steering.hold(what < 0.25 ? 'keys' : 'pad', random() < 0.3 ? STILL : { pan: random(), tilt: 0, zoom: 0 })
      else if (what < 0.75) await (what < 0.7 ? answer() : fail())
      else if (timers.length > 0) elapse()
      expect(open.length).toBeLessThanOrEqual(1)
    }
    steering.release()
    for (let at = 0; at < 10; at += 1) {
      await answer()
      if (timers.length > 0) elapse()
    }
    expect(isStill(sent.at(-1) ?? RIGHT)).toBe(true)
    expect(steering.moving).toBe(false)
  })
})

describe('hands', () => {
  it('take arrows and zoom keys, several at a time', () => {
    expect(byKeys(['ArrowRight', 'ArrowUp', '+'], 0.5)).toEqual({ pan: 0.5, tilt: 0.5, zoom: 0.5 })
    expect(byKeys(['ArrowRight', 'ArrowLeft'], 1)).toEqual(STILL)
    expect(['ArrowUp', '+', '=', '-', '_', 'a', 'Enter'].map(isSteeringKey)).toEqual([true, true, true, true, true, false, false])
  })

  it('move faster the further a drag goes, and not at all before it goes anywhere', () => {
    expect(byDrag(8, 3, 640, 360, 1)).toEqual(STILL)
    const [near, far] = [byDrag(40, 0, 640, 360, 1), byDrag(400, 0, 640, 360, 1)]
    expect(near.pan).toBeGreaterThan(0)
    expect(near.pan).toBeLessThan(far.pan)
    expect(far).toEqual({ pan: 1, tilt: -0, zoom: 0 })
    expect(byDrag(0, -400, 640, 360, 0.5).tilt).toBeCloseTo(0.5)
  })

  it('zoom in when the wheel goes away from the hand', () => {
    expect(byWheel(-120, 0.5).zoom).toBe(0.5)
    expect(byWheel(120, 0.5).zoom).toBe(-0.5)
    expect(byWheel(0, 0.5)).toEqual(STILL)
  })

  it('ignore a stick at rest, and give full speed at its end', () => {
    const pad = (axes: number[], triggers = [0, 0]) => ({ axes, buttons: [0, 0, 0, 0, 0, 0, ...triggers].map((value) => ({ value })) })
    expect(sum([byPad(pad([0.1, -0.15, 0, 0.05]), 1)])).toEqual(STILL)
    expect(sum([byPad(pad([1, -1, 0, 0]), 1)])).toEqual({ pan: 1, tilt: 1, zoom: 0 })
    expect(sum([byPad(pad([0, 0, 0, -1]), 1)]).zoom).toBe(1)
    expect(sum([byPad(pad([0, 0, 0, 0], [1, 0]), 1)]).zoom).toBe(-1)
  })

  it('know eight directions', () => {
    expect(Object.keys(DIRECTIONS)).toHaveLength(8)
    expect(new Set(Object.values(DIRECTIONS).map(String)).size).toBe(8)
  })
})
