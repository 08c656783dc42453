// Steering a camera: what hands want (pad, keys, drag, wheel, gamepad) becomes few messages. No timers and no sockets in
// here but those handed in. The device goes on until the next command, so nothing matters more than that the stop arrives:
// at most one message is in flight, the last state wins, a stop never waits, and one that failed is sent again. What is
// held is said again: the hub stops a camera whose page says nothing for 8 s, since a page that crashed sends no stop.

export interface Motion {
  pan: number // -1..1, right is positive
  tilt: number // up is positive
  zoom: number // in is positive
}
export type Hand = 'pad' | 'keys' | 'drag' | 'wheel' | 'gamepad'
export type Phase = 'rest' | 'sending' | 'gap'
export type Happening = 'send' | 'answered' | 'elapsed'

export const STILL: Motion = Object.freeze({ pan: 0, tilt: 0, zoom: 0 })

/** rest: nothing in flight, one may send. sending: one in flight. gap: answered, and too soon for another but a stop. */
const NEXT: Readonly<Record<Phase, Partial<Record<Happening, Phase>>>> = {
  rest: { send: 'sending', elapsed: 'rest' },
  sending: { answered: 'gap', elapsed: 'sending' },
  gap: { send: 'sending', elapsed: 'rest' },
}

/** The phase after something happened. Throws on a move that the table does not hold. */
export function step(phase: Phase, happened: Happening): Phase {
  const after = NEXT[phase][happened]
  if (after === undefined) throw new Error(`steering: ${happened} is not possible in ${phase}`)
  return after
}

const clamp = (value: number): number => Math.max(-1, Math.min(1, value))
/** Two decimals: finer than any device, and equal states compare equal. */
const round = (value: number): number => Math.round(clamp(value) * 100) / 100 + 0

export function sum(motions: Iterable<Motion>): Motion {
  const all = { pan: 0, tilt: 0, zoom: 0 }
  for (const one of motions) {
    all.pan += one.pan
    all.tilt += one.tilt
    all.zoom += one.zoom
  }
  return { pan: round(all.pan), tilt: round(all.tilt), zoom: round(all.zoom) }
}

export const same = (a: Motion, b: Motion): boolean => a.pan === b.pan && a.tilt === b.tilt && a.zoom === b.zoom
export const isStill = (motion: Motion): boolean => same(motion, STILL)

export interface SteeringOptions {
  send: (motion: Motion) => Promise<unknown>
  failed?: (error: unknown) => void // a move failed, or a stop after every try
  changed?: (wanted: Motion) => void
  later?: (run: () => void, ms: number) => () => void // answers what takes it back
}

export const GAP = 100 // ms between messages: about ten a second
export const AGAIN = 400 // ms until a failed stop is sent again
export const MOST_STOPS = 6
export const RENEW = 3_000 // ms after which a held motion is said again

export class Steering {
  private readonly hands = new Map<Hand, Motion>()
  private wanted: Motion = STILL
  private told: Motion = STILL
  private phase: Phase = 'rest'
  private stops = 0 // tries of the present stop
  private unsure = false // a message failed: the device may be moving whatever we told it
  private closed = false
  private takeBack: (() => void) | null = null
  private readonly options: Required<SteeringOptions>

  constructor(options: SteeringOptions) {
    this.options = {
      failed: () => undefined,
      changed: () => undefined,
      later: (run, ms) => {
        const timer = setTimeout(run, ms)
        return () => {
          clearTimeout(timer)
        }
      },
      ...options,
    }
  }

  /** What one hand wants from now on; still: it lets go. */
  hold(hand: Hand, motion: Motion): void {
    if (this.closed) return
    if (isStill(motion)) this.hands.delete(hand)
    else this.hands.set(hand, motion)
    this.want(sum(this.hands.values()))
  }

  /** Every hand lets go: blur, a lost pointer, a hidden page. */
  release(): void {
    this.hands.clear()
    this.want(STILL)
  }

  /** The stop still goes out, and is tried again; nothing else does. */
  close(): void {
    this.closed = true
    this.release()
  }

  get moving(): boolean {
    return !isStill(this.told) || this.unsure
  }

  private want(motion: Motion): void {
    if (same(motion, this.wanted)) return
    this.wanted = motion
    this.options.changed(motion)
    this.next()
  }

  private next(again = false): void {
    const due = again || !same(this.wanted, this.told) || (this.unsure && isStill(this.wanted))
    if (!due || this.phase === 'sending' || (this.phase === 'gap' && !isStill(this.wanted))) return
    this.takeBack?.()
    this.takeBack = null
    this.phase = step(this.phase, 'send')
    const sent = this.wanted
    this.told = sent
    this.options.send(sent).then(
      () => {
        this.answered(sent, null)
      },
      (error: unknown) => {
        this.answered(sent, error)
      },
    )
  }

  private answered(sent: Motion, error: unknown): void {
    this.phase = step(this.phase, 'answered')
    if (error === null) {
      if (isStill(sent)) {
        this.unsure = false
        this.stops = 0
      }
      this.wait(GAP)
      this.next()
      return
    }
    this.unsure = true
    if (!isStill(sent)) {
      this.options.failed(error) // whatever became of it, the camera is to stand still
      this.hands.clear()
      this.wanted = STILL
      this.options.changed(STILL)
      this.wait(GAP)
      this.next()
      return
    }
    this.stops += 1
    if (this.stops < MOST_STOPS && isStill(this.wanted)) {
      this.wait(AGAIN)
      return
    }
    if (this.stops >= MOST_STOPS) {
      this.unsure = false
      this.stops = 0
      this.options.failed(error)
    }
    this.wait(GAP)
    this.next()
  }

  private wait(ms: number): void {
    this.takeBack?.()
    this.takeBack = this.options.later(() => {
      this.takeBack = null
      this.phase = step(this.phase, 'elapsed')
      this.next()
      if (this.phase === 'rest' && !isStill(this.wanted)) this.renew()
    }, ms)
  }

  /** It is still held: say so before the hub takes us for gone. */
  private renew(): void {
    this.takeBack?.()
    this.takeBack = this.options.later(() => {
      this.takeBack = null
      this.next(true)
    }, RENEW)
  }
}
