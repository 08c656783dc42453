// Publishes camera and microphone by WHIP. No framework; the caller owns the tracks and stops them.
import { Backoff } from '@/wire/backoff'
import { Emitter } from '@/wire/emitter'
import { causeOf, endSession, exchange, negotiate, type Exchanged } from './exchange'
import { withIceServers } from './ice'

export type PublishPhase = 'idle' | 'connecting' | 'live' | 'lost'

export interface Publishing {
  phase: PublishPhase
  reason: string | null // error id, or player.connection
  retryAt: number | null // ms, local clock
}

export interface WhipOptions {
  url: string
  videoKbps?: number
  backoff?: Backoff
  now?: () => number
  connect?: () => RTCPeerConnection
  ice?: (pc: RTCPeerConnection) => Promise<void>
  post?: (url: string, offer: string, signal: AbortSignal) => Promise<Exchanged>
  end?: (session: string | null) => void
}

/** A small picture for small tiles and narrow paths beside the whole one (RFC 8853), the smallest first. */
export function layersOf(kbps: number): RTCRtpEncodingParameters[] {
  return [
    { rid: 'l', scaleResolutionDownBy: 4, maxBitrate: Math.round(kbps * 125) },
    { rid: 'h', maxBitrate: kbps * 1000 },
  ]
}

const FINAL = new Set([401, 403, 404, 409])
const CONNECT_WITHIN = 10_000 // ms

const LEAVE_AFTER = 5_000 // ms that the old relay still gets the picture, until its viewers have moved, too

const publishers = new Set<WhipPublisher>()

/** The relay of this session is dead (lost), or is about to stop (drain): whoever publishes there comes again. */
export function movePublishers(session: string, reason: 'drain' | 'lost'): void {
  for (const publisher of [...publishers]) publisher.moved(session, reason)
}

export class WhipPublisher extends Emitter<{ change: Publishing }> {
  view: Publishing = { phase: 'idle', reason: null, retryAt: null }
  private pc: RTCPeerConnection | null = null
  private session: string | null = null
  private abort: AbortController | null = null
  private media: MediaStream | null = null
  private leave: ReturnType<typeof setTimeout> | undefined
  private left: (() => void) | null = null // ends the connection to a relay that drains
  private limit: ReturnType<typeof setTimeout> | undefined
  private retryTimer: ReturnType<typeof setTimeout> | undefined
  private readonly options: Required<WhipOptions>

  constructor(options: WhipOptions) {
    super()
    this.options = {
      videoKbps: 1_200,
      backoff: new Backoff(500, 8_000),
      now: () => Date.now(),
      connect: () => new RTCPeerConnection({ bundlePolicy: 'max-bundle' }),
      ice: withIceServers,
      post: exchange,
      end: endSession,
      ...options,
    }
  }

  /** Publish these tracks (at most one of a kind); again after failures, until stop(). */
  start(media: MediaStream): void {
    if (this.view.phase !== 'idle') return
    publishers.add(this)
    this.media = media
    void this.open()
  }

  stop(): void {
    publishers.delete(this)
    clearTimeout(this.leave)
    this.left?.()
    clearTimeout(this.retryTimer)
    this.close()
    this.options.backoff.reset()
    this.become({ phase: 'idle', reason: null, retryAt: null })
  }

  /** See `movePublishers`. Upon a drain the old connection goes on for a while beside the new one. */
  moved(session: string, reason: 'drain' | 'lost'): void {
    if (this.session?.split('/').at(-1) !== session) return
    if (reason === 'drain') {
      const [pc, old] = [this.pc, this.session]
      clearTimeout(this.leave)
      this.left?.()
      this.left = () => {
        pc?.close()
        this.options.end(old)
        this.left = null
      }
      this.leave = setTimeout(() => this.left?.(), LEAVE_AFTER)
      this.pc = null
      this.session = null
    }
    this.close()
    void this.open()
  }

  /** Swap a track without a new session (another camera, or null for silence). */
  async replace(kind: 'audio' | 'video', track: MediaStreamTrack | null): Promise<void> {
    const sender = this.pc?.getTransceivers().find((one) => one.receiver.track.kind === kind)?.sender
    await sender?.replaceTrack(track)
    for (const old of this.media?.getTracks().filter((one) => one.kind === kind) ?? []) this.media?.removeTrack(old)
    if (track) this.media?.addTrack(track)
  }

  private async open(): Promise<void> {
    const pc = this.options.connect()
    const abort = new AbortController()
    this.pc = pc
    this.abort = abort
    this.become({ phase: 'connecting', reason: this.view.reason, retryAt: null })
    this.limit = setTimeout(() => {
      if (this.pc === pc) this.fail('player.connection')
    }, CONNECT_WITHIN)
    try {
      this.listen(pc)
      this.addTracks(pc)
      const { url, ice, post, end } = this.options
      this.session = await negotiate(pc, { url, ice, post, end, signal: abort.signal, ended: () => {
        if (this.pc === pc) this.fail('player.connection')
      } })
    } catch (error) {
      if (this.pc === pc) this.fail(error)
    }
  }

  private addTracks(pc: RTCPeerConnection): void {
    const streams = this.media ? [this.media] : []
    for (const kind of ['audio', 'video'] as const) {
      const track = this.media?.getTracks().find((one) => one.kind === kind)
      const sendEncodings = kind === 'video' ? layersOf(this.options.videoKbps) : [{}]
      pc.addTransceiver(track ?? kind, { direction: 'sendonly', streams, sendEncodings })
    }
  }

  private listen(pc: RTCPeerConnection): void {
    pc.onconnectionstatechange = () => {
      if (this.pc !== pc) return
      if (pc.connectionState === 'connected') {
        clearTimeout(this.limit)
        this.options.backoff.reset()
        this.become({ phase: 'live', reason: null, retryAt: null })
      } else if (pc.connectionState === 'failed') {
        this.fail('player.connection')
      }
    }
  }

  private fail(cause: unknown): void {
    this.close()
    const { reason, final } = causeOf(cause, FINAL)
    const wait = final ? null : this.options.backoff.next()
    this.become({ phase: 'lost', reason, retryAt: wait === null ? null : this.options.now() + wait })
    if (wait !== null) {
      this.retryTimer = setTimeout(() => {
        void this.open()
      }, wait)
    }
  }

  private close(): void {
    clearTimeout(this.limit)
    this.abort?.abort()
    this.abort = null
    this.pc?.close()
    this.pc = null
    this.options.end(this.session)
    this.session = null
  }

  private become(view: Publishing): void {
    this.view = view
    this.emit('change', view)
  }
}
