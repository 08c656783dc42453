// What both players of a picture have in common: what a tile must show, pictures that come or stay away, the next try.
// No framework.
import type { Backoff } from '@/wire/backoff'
import { Emitter, type Off } from '@/wire/emitter'
import { judge, step, type Limits, type Phase, type PhaseEvent } from './phase'
import { Progress } from './progress'
import type { Screens } from './screens'
import type { Counters, Stats } from './stats'

export interface View {
  phase: Phase
  reason: string | null // error id, or player.no_first_frame, player.no_frames, player.connection
  retryAt: number | null // ms, local clock
  lastFrameAt: number | null // ms, local clock
  firstFrameMs: number | null // from start() or retry to the first picture
  stats: Stats | null
}

export interface WatchEvents {
  change: View
  stream: MediaStream
}

interface Pace {
  limits: Limits
  backoff: Backoff
  now: () => number
}

export const TICK = 500 // ms
export const STEADY = 3 // readings in a row with new frames: enough where the browser shows no single frames
export const EMPTY: View = { phase: 'idle', reason: null, retryAt: null, lastFrameAt: null, firstFrameMs: null, stats: null }

export abstract class Watching extends Emitter<WatchEvents> {
  view: View = EMPTY
  protected counters: Counters | null = null
  protected growing = 0 // readings in a row with new frames
  protected startedAt = 0
  protected timer: ReturnType<typeof setInterval> | undefined
  protected retryTimer: ReturnType<typeof setTimeout> | undefined
  protected readonly progress = new Progress()
  protected abstract readonly screens: Screens
  protected abstract readonly options: Pace
  private ticks = 0

  get stream(): MediaStream {
    return this.screens.stream
  }

  /** Show in this element, too, until the returned function is called. Frames that are shown count as live. */
  show(video: HTMLVideoElement): Off {
    return this.screens.show(video)
  }

  /** Do not wait for the back-off: the source is said to be there again. */
  retryNow(): void {
    if (this.view.phase !== 'lost') return
    clearTimeout(this.retryTimer)
    this.move('retry', { retryAt: null })
    this.open()
  }

  protected abstract open(): void
  protected abstract close(): void
  protected abstract measure(): Promise<void>

  protected shown(rtp: number | undefined): void {
    if (rtp === undefined || this.progress.push(this.options.now(), rtp)) this.frame()
  }

  /** A new picture was shown or decoded. */
  protected frame(): void {
    const { phase } = this.view
    if (phase !== 'connecting' && phase !== 'live' && phase !== 'frozen') return
    const now = this.options.now()
    if (phase === 'live') {
      this.view = { ...this.view, lastFrameAt: now }
      return
    }
    if (phase === 'connecting') this.options.backoff.reset()
    const first = phase === 'connecting' ? now - this.startedAt : this.view.firstFrameMs
    this.move('frame', { lastFrameAt: now, firstFrameMs: first, reason: null, retryAt: null })
  }

  /** Twice a second. `silentFor` is ms since the last packet of any kind. */
  protected tick(expecting: boolean, silentFor: number): void {
    const { phase, lastFrameAt } = this.view
    this.ticks += 1
    if (this.ticks % 2 === 0 || phase === 'frozen') void this.measure()
    if (!expecting) return
    const since = phase === 'connecting' ? this.startedAt : Math.max(lastFrameAt ?? 0, this.startedAt)
    const verdict = judge(phase, this.options.now() - since, this.options.limits, silentFor)
    if (verdict === 'failed') this.lose(phase === 'connecting' ? 'player.no_first_frame' : 'player.no_frames')
    else if (verdict) this.move(verdict)
    else if (phase === 'frozen') this.emit('change', this.view) // the seconds go on
  }

  /** Over, and again after a while unless it is `final`. */
  protected lose(reason: string, final = false): void {
    if (this.view.phase === 'idle' || this.view.phase === 'lost') return
    this.close()
    const wait = final ? null : this.options.backoff.next()
    this.move('failed', { reason, stats: null, retryAt: wait === null ? null : this.options.now() + wait })
    if (wait !== null) this.retryTimer = setTimeout(() => { this.retryNow() }, wait)
  }

  protected move(event: PhaseEvent, change: Partial<View> = {}): void {
    this.view = { ...this.view, ...change, phase: step(this.view.phase, event) }
    this.emit('change', this.view)
  }
}
