// One picture of the page's connection, with the same face as a WHEP player; where the connection cannot carry it, a
// WHEP player of its own takes over. No framework.
import { Backoff } from '@/wire/backoff'
import { LIMITS, type Limits } from './phase'
import { Screens } from './screens'
import { readStats } from './stats'
import type { SharedTrack, Subscriber, Wish } from './subscriber'
import { EMPTY, STEADY, TICK, Watching } from './watching'
import { WhepPlayer } from './whep'

export type Player = Pick<WhepPlayer, 'view' | 'stream' | 'start' | 'stop' | 'retryNow' | 'show' | 'on'>

export interface SharedOptions {
  subscriber: Subscriber
  wish: Wish
  limits?: Limits
  backoff?: Backoff
  now?: () => number
  whep?: (url: string, screens: Screens) => Player
}

const LINE_WITHIN = 2_000 // ms for the page's line to come up; then pictures come without it
const ALONE = new Set(['relay.elsewhere', 'sdp.no_codec', 'media.too_many_tracks', 'ws.not_understood'])
const FINAL = /^(camera\.unknown|right\.missing|conference\.(unknown|not_in|ended|member_unknown))$/

/** Where WHEP has the same picture. */
export function addressOf(wish: Wish): string {
  if (wish.camera) return `/whep/cameras/${encodeURIComponent(wish.camera)}`
  const place = `/whep/conferences/${encodeURIComponent(wish.conference ?? '')}`
  return wish.member ? `${place}/members/${encodeURIComponent(wish.member)}` : `${place}/stage`
}

export class SharedPlayer extends Watching implements Player {
  protected readonly screens = new Screens()
  private track: SharedTrack | null = null
  private alone: Player | null = null
  private lineTimer: ReturnType<typeof setTimeout> | undefined
  protected readonly options: Required<SharedOptions>

  constructor(options: SharedOptions) {
    super()
    this.screens.on('look', this.look)
    this.screens.on('frame', (rtp) => { this.shown(rtp) })
    this.options = {
      limits: LIMITS,
      backoff: new Backoff(500, 8_000),
      now: () => Date.now(),
      whep: (url, screens) => new WhepPlayer({ url, screens, audio: options.wish.audio ?? false, limits: this.options.limits }),
      ...options,
    }
  }

  start(): void {
    if (this.view.phase !== 'idle') return
    document.addEventListener('visibilitychange', this.look)
    if (!this.options.subscriber.usable) {
      this.goAlone()
      return
    }
    this.move('start')
    this.open()
    if (this.options.subscriber.up) return
    this.lineTimer = setTimeout(() => {
      if (!this.options.subscriber.up) this.goAlone()
    }, LINE_WITHIN)
  }

  stop(): void {
    document.removeEventListener('visibilitychange', this.look)
    clearTimeout(this.lineTimer)
    clearTimeout(this.retryTimer)
    this.close()
    this.alone?.stop()
    this.alone = null
    this.options.backoff.reset()
    this.view = EMPTY
    this.emit('change', this.view)
  }

  override retryNow(): void {
    if (this.alone) this.alone.retryNow()
    else super.retryNow()
  }

  /** The width of its tiles and whether they can be seen decide on the layer, and whether anything is sent at all. */
  private readonly look = (): void => {
    if (!this.track) return
    const { seen, width } = this.screens
    if (seen && !this.track.visible) this.startAnew()
    this.track.look(width, seen)
  }

  private startAnew(): void {
    this.startedAt = this.options.now()
    this.progress.reset()
    if (this.view.lastFrameAt !== null) this.view = { ...this.view, lastFrameAt: this.startedAt }
  }

  protected override shown(rtp: number | undefined): void {
    if (!this.alone) super.shown(rtp) // it hears for itself
  }

  protected open(): void {
    this.startedAt = this.options.now()
    this.growing = 0
    this.progress.reset()
    clearInterval(this.timer)
    this.timer = setInterval(() => { this.tick(this.track?.visible !== false, 0) }, TICK) // nothing is sent of what nobody sees
    const track = this.options.subscriber.open(this.options.wish, this.screens.seen)
    this.track = track
    track.on('change', () => {
      if (this.track === track) this.changed(track)
    })
    this.look()
  }

  private changed(track: SharedTrack): void {
    const fresh = track.tracks.filter((one) => !this.stream.getTracks().includes(one))
    if (fresh.length > 0) {
      this.screens.put(track.tracks)
      this.counters = null
      this.progress.reset()
      this.emit('stream', this.stream)
    }
    if (track.state !== 'refused' && track.state !== 'ended') return
    if (track.error && ALONE.has(track.error)) this.goAlone()
    else this.lose(track.error ?? 'player.connection', FINAL.test(track.error ?? ''))
  }

  /** By WHEP, on a connection of its own. */
  private goAlone(): void {
    this.close()
    const player = this.options.whep(addressOf(this.options.wish), this.screens)
    this.alone = player
    player.on('change', (view) => {
      if (this.alone !== player) return
      this.view = view
      this.emit('change', view)
    })
    player.on('stream', () => {
      if (this.alone === player) this.emit('stream', this.stream)
    })
    player.start()
  }

  protected async measure(): Promise<void> {
    const track = this.track
    const report = await track?.getStats()
    if (!report || this.track !== track) return
    const read = readStats(report.values(), this.options.now(), this.counters)
    if (!read) return
    const before = this.counters?.ssrc === read.counters.ssrc ? this.counters : null
    this.counters = read.counters
    const grew = read.counters.decoded > (before?.decoded ?? 0)
    this.growing = !grew ? 0 : this.view.phase === 'connecting' && before !== null ? STEADY : this.growing + 1
    if (this.growing >= STEADY) this.frame()
    this.view = { ...this.view, stats: { ...read.stats, layer: track?.layer ?? null } }
    this.emit('change', this.view)
  }

  protected close(): void {
    clearInterval(this.timer)
    this.track?.close()
    this.track = null
    this.counters = null
  }
}
