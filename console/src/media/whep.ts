// Watches one stream by WHEP. No framework: `on('change')` tells what a tile must show.
// The relay is ICE-lite with its candidates in the answer, so an offer goes out at once, without gathering.
import { Backoff } from '@/wire/backoff'
import type { Off } from '@/wire/emitter'
import { causeOf, endSession, exchange, negotiate, type Exchanged } from './exchange'
import { withIceServers } from './ice'
import { LIMITS, type Limits } from './phase'
import { Screens } from './screens'
import { readStats, type Counters } from './stats'
import { STEADY, TICK, Watching } from './watching'

export interface WhepOptions {
  url: string
  audio?: boolean
  screens?: Screens // where somebody else shows the stream
  limits?: Limits
  backoff?: Backoff
  now?: () => number
  connect?: () => RTCPeerConnection
  ice?: (pc: RTCPeerConnection) => Promise<void>
  post?: (url: string, offer: string, signal: AbortSignal) => Promise<Exchanged>
  end?: (session: string | null) => void
}

const FINAL = new Set([401, 403, 404]) // asking again does not help

const SHOWN_WITHIN = 8_000 // ms for the successor of a session to show a picture
const SHOWN_EVERY = 100

const players = new Set<WhepPlayer>()

/** The relay of this session is dead (lost), or is about to stop (drain): whoever plays it comes again. */
export function movePlayers(session: string, reason: 'drain' | 'lost'): void {
  for (const player of [...players]) player.moved(session, reason)
}

export class WhepPlayer extends Watching {
  protected readonly screens: Screens
  private pc: RTCPeerConnection | null = null
  private session: string | null = null
  private abort: AbortController | null = null
  private successor: AbortController | null = null // a session elsewhere that takes over once it shows pictures
  private deaf: Off = () => undefined
  private heardAt = 0 // last time that any packet came
  protected readonly options: Required<Omit<WhepOptions, 'screens'>>

  constructor(options: WhepOptions) {
    super()
    this.screens = options.screens ?? new Screens()
    this.options = {
      audio: false,
      limits: LIMITS,
      backoff: new Backoff(500, 8_000),
      now: () => Date.now(),
      connect: () => new RTCPeerConnection({ bundlePolicy: 'max-bundle' }),
      ice: withIceServers,
      post: exchange,
      end: endSession,
      ...options,
    }
  }

  start(): void {
    if (this.view.phase !== 'idle') return
    players.add(this)
    this.deaf = this.screens.on('frame', (rtp) => { this.shown(rtp) })
    this.move('start')
    this.open()
  }

  /** End for good; a player may be started again. */
  stop(): void {
    players.delete(this)
    this.deaf()
    clearTimeout(this.retryTimer)
    this.close()
    this.options.backoff.reset()
    this.move('stop', { reason: null, retryAt: null, lastFrameAt: null, firstFrameMs: null, stats: null })
  }

  /** See `movePlayers`. Upon a drain the old session shows pictures until the new one does. */
  moved(session: string, reason: 'drain' | 'lost'): void {
    if (this.session?.split('/').at(-1) !== session || this.view.phase === 'lost') return
    if (reason === 'lost') {
      this.fail('player.connection')
      this.retryNow()
    } else if (!this.successor) {
      this.successor = new AbortController()
      void this.succeed(this.successor)
    }
  }

  private async succeed(mine: AbortController): Promise<void> {
    const pc = this.options.connect()
    const tracks: MediaStreamTrack[] = []
    let session: string | null = null
    pc.ontrack = (event) => tracks.push(event.track)
    try {
      session = await this.negotiate(pc, mine.signal)
      await this.untilShown(pc, mine.signal)
      mine.signal.throwIfAborted()
      this.adopt(pc, session, tracks)
    } catch {
      pc.close() // the old one goes on, and the hub tells again
      this.options.end(session)
    } finally {
      if (this.successor === mine) this.successor = null
    }
  }

  private async untilShown(pc: RTCPeerConnection, signal: AbortSignal): Promise<void> {
    const until = this.options.now() + SHOWN_WITHIN
    while (this.options.now() < until && !signal.aborted) {
      const read = readStats((await pc.getStats()).values(), this.options.now(), null)
      if (read && read.counters.decoded > 0) return
      await new Promise((resolve) => setTimeout(resolve, SHOWN_EVERY))
    }
    throw new Error('no picture')
  }

  /** The successor takes over. */
  private adopt(pc: RTCPeerConnection, session: string, tracks: MediaStreamTrack[]): void {
    const [before, old] = [this.pc, this.session]
    this.pc = pc
    this.session = session
    this.counters = null
    this.growing = 0
    this.heardAt = this.options.now()
    this.progress.reset()
    this.listen(pc)
    this.take(tracks)
    before?.close()
    this.options.end(old)
  }

  protected open(): void {
    void this.dial()
  }

  private async dial(): Promise<void> {
    const pc = this.options.connect()
    const abort = new AbortController()
    this.pc = pc
    this.abort = abort
    this.startedAt = this.options.now()
    this.heardAt = this.startedAt
    this.growing = 0
    this.progress.reset()
    this.timer = setInterval(() => {
      this.tick(true, this.options.now() - this.heardAt)
    }, TICK)
    try {
      this.listen(pc)
      this.session = await this.negotiate(pc, abort.signal)
    } catch (error) {
      if (this.pc === pc) this.fail(error)
    }
  }

  private negotiate(pc: RTCPeerConnection, signal: AbortSignal): Promise<string> {
    pc.addTransceiver('video', { direction: 'recvonly' })
    if (this.options.audio) pc.addTransceiver('audio', { direction: 'recvonly' })
    const { url, ice, post, end } = this.options
    return negotiate(pc, { url, ice, post, end, signal, ended: () => {
      if (this.pc === pc) this.fail('player.connection')
    } })
  }

  private take(tracks: MediaStreamTrack[]): void {
    this.screens.put(tracks)
    this.emit('stream', this.stream)
  }

  private listen(pc: RTCPeerConnection): void {
    pc.ontrack = (event) => {
      if (this.pc === pc) this.take([event.track])
    }
    const check = (): void => {
      if (this.pc !== pc) return
      if (pc.iceConnectionState === 'failed' || pc.connectionState === 'failed') this.fail('player.connection')
    }
    pc.oniceconnectionstatechange = check
    pc.onconnectionstatechange = check
  }

  protected async measure(): Promise<void> {
    const pc = this.pc
    if (!pc) return
    const report = await pc.getStats()
    if (this.pc !== pc) return
    const read = readStats(report.values(), this.options.now(), this.counters)
    if (!read) return
    this.weigh(read.counters)
    this.view = { ...this.view, stats: read.stats }
    this.emit('change', this.view)
  }

  /** Frames of a hidden page are decoded but never shown: steady growth counts as well, a burst of old ones does not. */
  private weigh(counters: Counters): void {
    const before = this.counters
    this.counters = counters
    if (counters.packets === null || counters.packets > (before?.packets ?? 0)) this.heardAt = counters.at
    const grew = counters.decoded > (before?.decoded ?? 0)
    this.growing = !grew ? 0 : this.view.phase === 'connecting' ? STEADY : this.growing + 1
    if (this.growing >= STEADY) this.frame()
  }

  private fail(cause: unknown): void {
    const { reason, final } = causeOf(cause, FINAL)
    this.lose(reason, final)
  }

  protected close(): void {
    clearInterval(this.timer)
    this.successor?.abort()
    this.successor = null
    this.abort?.abort()
    this.abort = null
    this.pc?.close()
    this.pc = null
    this.counters = null
    this.options.end(this.session)
    this.session = null
  }
}
