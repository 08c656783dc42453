// Watches one stream by WHEP. No framework: `on('change')` tells what a tile must show.
// The relay is ICE-lite with its candidates in the answer, so an offer goes out at once, without gathering.
import { Backoff } from '@/wire/backoff'
import { Emitter, type Off } from '@/wire/emitter'
import { ApiError } from '@/wire/http'
import { endSession, exchange, negotiate, type Exchanged } from './exchange'
import { withIceServers } from './ice'
import { judge, LIMITS, step, type Limits, type Phase, type PhaseEvent } from './phase'
import { Progress } from './progress'
import { Screens } from './screens'
import { readStats, type Counters, type Stats } from './stats'

export interface View {
  phase: Phase
  reason: string | null // error id, or player.no_first_frame, player.no_frames, player.connection
  retryAt: number | null // ms, local clock
  lastFrameAt: number | null // ms, local clock
  firstFrameMs: number | null // from start() or retry to the first picture
  stats: Stats | null
}

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

export interface WhepEvents {
  change: View
  stream: MediaStream
}

const TICK = 500 // ms
const STEADY = 3 // readings in a row with new frames: enough where the browser shows no single frames
const FINAL = new Set([401, 403, 404]) // asking again does not help

const SHOWN_WITHIN = 8_000 // ms for the successor of a session to show a picture
const SHOWN_EVERY = 100

const players = new Set<WhepPlayer>()

/** The relay of this session is dead (lost), or is about to stop (drain): whoever plays it comes again. */
export function movePlayers(session: string, reason: 'drain' | 'lost'): void {
  for (const player of [...players]) player.moved(session, reason)
}

export class WhepPlayer extends Emitter<WhepEvents> {
  private readonly screens: Screens
  view: View = { phase: 'idle', reason: null, retryAt: null, lastFrameAt: null, firstFrameMs: null, stats: null }
  private pc: RTCPeerConnection | null = null
  private session: string | null = null
  private abort: AbortController | null = null
  private successor: AbortController | null = null // a session elsewhere that takes over once it shows pictures
  private deaf: Off = () => undefined
  private counters: Counters | null = null
  private readonly progress = new Progress()
  private growing = 0 // readings in a row with new frames
  private heardAt = 0 // last time that any packet came
  private startedAt = 0
  private ticks = 0
  private timer: ReturnType<typeof setInterval> | undefined
  private retryTimer: ReturnType<typeof setTimeout> | undefined
  private readonly options: Required<Omit<WhepOptions, 'screens'>>

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

  get stream(): MediaStream {
    return this.screens.stream
  }

  start(): void {
    if (this.view.phase !== 'idle') return
    players.add(this)
    this.deaf = this.screens.on('frame', (rtp) => { this.shown(rtp) })
    this.move('start')
    void this.open()
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

  /** Do not wait for the back-off: the source is said to be there again. */
  retryNow(): void {
    if (this.view.phase !== 'lost') return
    clearTimeout(this.retryTimer)
    this.move('retry', { retryAt: null })
    void this.open()
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

  /** Show in this element, too, until the returned function is called. Frames that are shown count as live. */
  show(video: HTMLVideoElement): Off {
    return this.screens.show(video)
  }

  private shown(rtp: number | undefined): void {
    if (rtp === undefined || this.progress.push(this.options.now(), rtp)) this.frame()
  }

  private async open(): Promise<void> {
    const pc = this.options.connect()
    const abort = new AbortController()
    this.pc = pc
    this.abort = abort
    this.startedAt = this.options.now()
    this.heardAt = this.startedAt
    this.growing = 0
    this.progress.reset()
    this.timer = setInterval(() => {
      this.tick()
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

  /** A new picture was shown or decoded. */
  private frame(): void {
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

  private tick(): void {
    const { phase, lastFrameAt } = this.view
    this.ticks += 1
    if (this.ticks % 2 === 0 || phase === 'frozen') void this.measure()
    const now = this.options.now()
    const quiet = now - (phase === 'connecting' ? this.startedAt : (lastFrameAt ?? this.startedAt))
    const verdict = judge(phase, quiet, this.options.limits, now - this.heardAt)
    if (verdict === 'failed') this.fail(phase === 'connecting' ? 'player.no_first_frame' : 'player.no_frames')
    else if (verdict) this.move(verdict)
    else if (phase === 'frozen') this.emit('change', this.view) // the seconds go on
  }

  private async measure(): Promise<void> {
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
    if (this.view.phase === 'idle' || this.view.phase === 'lost') return
    this.close()
    const final = cause instanceof ApiError && FINAL.has(cause.status)
    const reason = typeof cause === 'string' ? cause : cause instanceof ApiError ? cause.id : 'player.connection'
    const wait = final ? null : this.options.backoff.next()
    this.move('failed', { reason, stats: null, retryAt: wait === null ? null : this.options.now() + wait })
    if (wait !== null) {
      this.retryTimer = setTimeout(() => {
        this.retryNow()
      }, wait)
    }
  }

  private close(): void {
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

  private move(event: PhaseEvent, change: Partial<View> = {}): void {
    this.view = { ...this.view, ...change, phase: step(this.view.phase, event) }
    this.emit('change', this.view)
  }
}
