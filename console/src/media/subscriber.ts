// One connection for every picture of a page. No framework. The hub offers and this side answers (`media.*` of /ws), so
// both never offer at once; it is the polite peer all the same: an offer rolls back whatever this side had in hand.
import { Backoff } from '@/wire/backoff'
import { Emitter, type Off } from '@/wire/emitter'
import type { ClientMessage, MessageOf } from '@/wire/messages'
import type { SocketEvents } from '@/wire/socket'
import { withIceServers } from './ice'
import type { Layer } from './stats'
import { whenTransportEnds } from './transport'

/** What somebody wants to see: a camera, a member of a conference, or a conference's stage. */
export interface Wish {
  camera?: string
  conference?: string
  member?: string
  audio?: boolean
}

export type TrackState = 'asked' | 'waiting' | 'live' | 'refused' | 'ended'

export interface Line {
  state: () => string
  send: (message: ClientMessage) => boolean
  on: <K extends keyof SocketEvents>(name: K, handler: (value: SocketEvents[K]) => void) => Off
}

export interface SubscriberOptions {
  line: Line
  connect?: () => RTCPeerConnection
  ice?: (pc: RTCPeerConnection) => Promise<void>
  h265?: () => boolean
  backoff?: Backoff
}

const TOGETHER = 30 // ms: changes within this time are told as one
const LOOK_EVERY = 400 // ms
const SILENT = 1_300 // ms without any packet although a picture should come: the path or the relay is gone
const GIVE_UP = 4_000 // ms after that: another connection
const HANDOVER = 8_000 // ms that a connection of before stays at most until the new one shows pictures
const HAND_EVERY = 50 // ms
const MOST = 64
const COMING = new Set(['off', 'connecting']) // a page's tiles are there before its line

/** One picture of the page's connection. `tracks` are there as soon as they are offered. */
export class SharedTrack extends Emitter<{ change: SharedTrack }> {
  state: TrackState = 'asked'
  error: string | null = null
  width: number | null = null
  visible = true
  tracks: MediaStreamTrack[] = []
  layer: Layer | null = null

  constructor(
    readonly key: string,
    readonly wish: Wish,
    private readonly owner: Subscriber,
  ) {
    super()
  }

  /** How wide its tile is in device pixels, and whether anybody can see it. */
  look(width: number | null, visible: boolean): void {
    const rounded = width === null ? null : Math.max(16, Math.min(16_384, Math.ceil(width / 16) * 16))
    if (rounded === this.width && visible === this.visible) return
    this.width = rounded
    this.visible = visible
    this.owner.changed()
  }

  close(): void {
    this.owner.drop(this)
  }

  getStats(): Promise<RTCStatsReport | null> {
    return this.owner.statsOf(this)
  }

  become(state: TrackState, error: string | null, layer: Layer | null = null): void {
    this.state = state
    this.error = error
    this.layer = layer
    this.emit('change', this)
  }
}

interface Inbound {
  type: string
  mid?: string
  framesDecoded?: number
  packetsReceived?: number
}

interface Connection {
  pc: RTCPeerConnection
  session: string
  revision: number // of the last offer that was answered
  connectedAt: number | null
  offered: readonly OfferedTrack[]
  handed: boolean // somebody shows a picture of it
}

type OfferedTrack = MessageOf<'media.offer'>['tracks'][number]

export class Subscriber {
  private readonly wanted = new Map<string, SharedTrack>()
  private now: Connection | null = null
  private before: Connection | null = null
  private offers: Promise<void> = Promise.resolve()
  private newest: MessageOf<'media.offer'> | null = null
  private refusals = 0 // offers in a row that could not be answered
  private told = false // the hub knows of wishes
  private over = false // a connection was closed here that the hub may still take for ours
  private count = 0
  private packets = 0
  private heardAt = 0
  private askedAt: number | null = null // when this side last said that it hears nothing
  private again: ReturnType<typeof setTimeout> | undefined
  private pending: ReturnType<typeof setTimeout> | undefined
  private timer: ReturnType<typeof setInterval> | undefined
  private readonly options: Required<SubscriberOptions>

  constructor(options: SubscriberOptions) {
    this.options = {
      connect: () => new RTCPeerConnection({ bundlePolicy: 'max-bundle' }),
      ice: withIceServers,
      h265: decodesH265,
      backoff: new Backoff(300, 5_000),
      ...options,
    }
    const { line } = options
    line.on('media.offer', (offer) => {
      this.newest = offer
      this.offers = this.offers.then(() => this.heed(offer))
    })
    line.on('media.track', ({ key, state, error, layer, layers }) => {
      this.wanted.get(key)?.become(state, error ?? null, layer && layers ? { at: layer, of: layers } : null)
    })
    line.on('media.ended', (message) => {
      if (message.session === this.now?.session) this.anewLater()
    })
    line.on('error', (message) => {
      if (message.re === 'media.subscribe') this.failed(message.error)
    })
    line.on('ready', () => { this.tell() })
  }

  /** Whether one more picture fits, over a line that is up or about to be. */
  get usable(): boolean {
    return (this.up || COMING.has(this.options.line.state())) && this.wanted.size < MOST
  }

  get up(): boolean {
    return this.options.line.state() === 'open'
  }

  open(wish: Wish, visible = true): SharedTrack {
    this.count += 1
    const track = new SharedTrack(String(this.count), wish, this)
    track.visible = visible
    this.wanted.set(track.key, track)
    this.timer ??= setInterval(() => void this.look(), LOOK_EVERY)
    this.changed()
    return track
  }

  drop(track: SharedTrack): void {
    if (this.wanted.delete(track.key)) this.changed()
  }

  /** Something is wanted otherwise; told together with what else changes now. */
  changed(): void {
    this.pending ??= setTimeout(() => { this.tell() }, TOGETHER)
  }

  async statsOf(track: SharedTrack): Promise<RTCStatsReport | null> {
    const video = track.tracks.find((one) => one.kind === 'video')
    const owner = [this.now, this.before].find((one) => one?.pc.getReceivers().some((receiver) => receiver.track === video))
    return video && owner ? owner.pc.getStats(video).catch(() => null) : null
  }

  private tell(anew = false): void {
    clearTimeout(this.pending)
    this.pending = undefined
    const tracks = [...this.wanted.values()].map(({ key, wish, width, visible }) => ({
      key, width, visible,
      camera: wish.camera ?? null, conference: wish.conference ?? null, member: wish.member ?? null, audio: wish.audio ?? false,
    }))
    if (tracks.length === 0 && !this.told) return
    const fresh = anew || this.over
    const sent = this.options.line.send({
      type: 'media.subscribe', session: fresh ? null : (this.now?.session ?? null), anew: fresh, h265: this.options.h265(), tracks,
    })
    if (sent) {
      this.told = tracks.length > 0
      this.over = false
    }
    if (tracks.length === 0) this.finish()
  }

  /**
   * Offers are answered one after the other. One that another has overtaken, or that was answered already, is passed over:
   * the newest holds everything. An offer that cannot be used is asked for anew; the second time another connection is.
   */
  private async heed(offer: MessageOf<'media.offer'>): Promise<void> {
    if (offer !== this.newest || this.wanted.size === 0) return
    const connection = this.now
    if (connection?.session === offer.session && offer.revision <= connection.revision) return
    try {
      await this.answer(offer)
      this.refusals = 0
    } catch {
      if (offer !== this.newest || this.wanted.size === 0) return // closed, or another one is here
      this.refusals += 1
      if (this.refusals > 1) this.anewLater()
      else this.restart()
    }
  }

  private async answer(offer: MessageOf<'media.offer'>): Promise<void> {
    const fresh = this.now?.session !== offer.session
    const connection = fresh ? this.connect(offer.session) : this.now
    if (!connection) return
    const { pc } = connection
    if (fresh) await this.options.ice(pc)
    await pc.setRemoteDescription({ type: 'offer', sdp: offer.sdp }) // rolls an own offer back (W3C webrtc §4.4.1.5)
    await pc.setLocalDescription()
    if (this.now !== connection) return
    connection.revision = offer.revision
    this.options.line.send({ type: 'media.answer', session: offer.session, revision: offer.revision, sdp: pc.localDescription?.sdp ?? '' })
    connection.offered = offer.tracks
    if (!this.before) this.hand(connection)
    else if (fresh) void this.handOver(connection)
    whenTransportEnds(pc, () => {
      if (this.now === connection) this.anewLater()
    })
  }

  /** Give wanted pictures the tracks of their sections: every one, or those that this says are to be shown. */
  private hand(connection: Connection, shown?: (mids: readonly string[]) => boolean): void {
    const byMid = new Map(connection.pc.getTransceivers().map((one) => [one.mid, one.receiver.track]))
    for (const track of this.wanted.values()) {
      const mids = connection.offered.filter((one) => one.key === track.key).map((one) => one.mid)
      const tracks = mids.map((mid) => byMid.get(mid)).filter((one) => one !== undefined)
      if (tracks.length === track.tracks.length && tracks.every((one, at) => one === track.tracks[at])) continue
      if (shown && track.tracks.length > 0 && !shown(mids)) continue
      connection.handed = true
      track.tracks = tracks
      track.emit('change', track)
    }
  }

  /** Until the connection of before has nothing left to show: a picture changes over once its next one is decoded. */
  private async handOver(connection: Connection): Promise<void> {
    const until = Date.now() + HANDOVER
    while (this.now === connection && this.before && Date.now() < until) {
      const begun = new Set<string>()
      for (const one of (await connection.pc.getStats()).values() as Iterable<Inbound>) {
        if (one.type === 'inbound-rtp' && one.mid && (one.framesDecoded ?? one.packetsReceived ?? 0) > 0) begun.add(one.mid)
      }
      if (this.now !== connection) return
      const kinds = new Map(connection.offered.map((one) => [one.mid, one.kind]))
      this.hand(connection, (mids) => {
        const pictures = mids.filter((mid) => kinds.get(mid) === 'video')
        return (pictures.length > 0 ? pictures : mids).some((mid) => begun.has(mid))
      })
      if (!this.leftAt(this.before)) break
      await new Promise((resolve) => setTimeout(resolve, HAND_EVERY))
    }
    if (this.now !== connection) return
    this.hand(connection)
    this.closeBefore()
  }

  /** Whether somebody still shows a picture of this connection. */
  private leftAt(connection: Connection): boolean {
    const tracks = new Set(connection.pc.getReceivers().map((one) => one.track))
    return [...this.wanted.values()].some((track) => track.visible && track.tracks.some((one) => tracks.has(one)))
  }

  private connect(session: string): Connection {
    if (this.before && this.now && !this.now.handed) {
      this.now.pc.close() // it never came to show anything: the one before it still does
    } else {
      this.closeBefore()
      this.before = this.now
    }
    const pc = this.options.connect()
    const connection: Connection = { pc, session, revision: -1, connectedAt: null, offered: [], handed: false }
    this.now = connection
    this.packets = 0
    this.heardAt = Date.now()
    this.askedAt = null
    const check = (): void => {
      if (this.now !== connection) return
      if (pc.connectionState === 'failed') this.anewLater()
      if (pc.connectionState === 'connected') connection.connectedAt ??= Date.now()
    }
    pc.onconnectionstatechange = check
    return connection
  }

  /** Does anything come? A relay that lives sends reports of every visible picture once a second. */
  private async look(): Promise<void> {
    const connection = this.now
    if (!connection) return
    const report = await connection.pc.getStats()
    if (this.now !== connection) return
    let packets = 0
    for (const one of report.values() as Iterable<{ type: string; packetsReceived?: number }>) {
      if (one.type === 'transport') packets += one.packetsReceived ?? 0
    }
    const now = Date.now()
    const expected = [...this.wanted.values()].some((one) => one.visible && one.state === 'live')
    if (packets > this.packets || !expected || connection.connectedAt === null) {
      if (packets > this.packets && connection.connectedAt !== null) this.arrived()
      this.packets = packets
      this.heardAt = Math.max(this.heardAt, now)
    } else if (this.askedAt !== null && now - this.askedAt > GIVE_UP) {
      this.askedAt = null
      this.anewLater()
    } else if (this.askedAt === null && now - this.heardAt > SILENT) {
      this.askedAt = now
      this.restart()
    }
  }

  private arrived(): void {
    this.askedAt = null
    this.options.backoff.reset()
  }

  private closeBefore(): void {
    this.before?.pc.close()
    this.before = null
  }

  private restart(): void {
    this.options.line.send({ type: 'media.restart' })
  }

  private anewLater(): void {
    if (this.again !== undefined) return
    this.again = setTimeout(() => {
      this.again = undefined
      this.tell(true)
    }, this.options.backoff.next())
  }

  private failed(error: string): void {
    for (const track of this.wanted.values()) {
      if (track.state === 'asked') track.become('refused', error)
    }
  }

  /** Nobody wants anything any more. */
  private finish(): void {
    clearInterval(this.timer)
    clearTimeout(this.again)
    this.timer = undefined
    this.again = undefined
    this.closeBefore()
    this.over = true
    this.now?.pc.close()
    this.now = null
  }
}

function decodesH265(): boolean {
  const codecs = typeof RTCRtpReceiver === 'undefined' ? null : RTCRtpReceiver.getCapabilities('video')?.codecs
  return codecs?.some((one) => one.mimeType.toLowerCase() === 'video/h265') ?? false
}
