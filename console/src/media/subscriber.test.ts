import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Backoff } from '@/wire/backoff'
import { Emitter } from '@/wire/emitter'
import type { ClientMessage } from '@/wire/messages'
import type { SocketEvents } from '@/wire/socket'
import { addressOf } from './shared'
import { type SharedTrack, Subscriber, type Line } from './subscriber'

class FakePeer {
  static made: FakePeer[] = []
  connectionState = 'new'
  localDescription: { sdp: string } | null = null
  remote: string[] = []
  closed = false
  packets = 0
  decoded: string[] = []
  mids: string[] = []
  onconnectionstatechange: (() => void) | null = null
  readonly transport = { state: 'connected', onstatechange: null as (() => void) | null }
  private readonly receivers = new Map<string, { track: { kind: string; id: string }; transport: unknown }>()

  constructor() {
    FakePeer.made.push(this)
  }
  setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    this.remote.push(sdp)
    this.mids = [...sdp.matchAll(/mid:(\d+)/g)].map((one) => one[1] ?? '')
    return Promise.resolve()
  }
  setLocalDescription(): Promise<void> {
    this.localDescription = { sdp: `answer to ${this.remote.at(-1) ?? ''}` }
    return Promise.resolve()
  }
  getTransceivers(): unknown[] {
    return this.mids.map((mid) => {
      const receiver = this.receivers.get(mid) ?? { track: { kind: 'video', id: mid }, transport: this.transport }
      this.receivers.set(mid, receiver)
      return { mid, receiver }
    })
  }
  getReceivers(): unknown[] {
    return [{ transport: this.transport }, ...this.receivers.values()]
  }
  getSenders(): unknown[] {
    return []
  }
  getStats(): Promise<Map<string, unknown>> {
    const inbound = this.decoded.map((mid): [string, unknown] => [mid, { type: 'inbound-rtp', mid, framesDecoded: 1 }])
    return Promise.resolve(new Map<string, unknown>([['t', { type: 'transport', packetsReceived: this.packets }], ...inbound]))
  }
  close(): void {
    this.closed = true
  }
  connect(): void {
    this.connectionState = 'connected'
    this.onconnectionstatechange?.()
  }
}

class FakeLine extends Emitter<SocketEvents> {
  up = 'open'
  sent: ClientMessage[] = []
  line: Line = {
    state: () => this.up,
    send: (message) => {
      this.sent.push(message)
      return true
    },
    on: (name, handler) => this.on(name, handler),
  }
  last<K extends ClientMessage['type']>(type: K): Extract<ClientMessage, { type: K }> | undefined {
    return this.sent.filter((one) => one.type === type).at(-1) as Extract<ClientMessage, { type: K }> | undefined
  }
  offer(session: string, revision: number, tracks: { mid: string; key: string; kind: 'video' | 'audio' }[]): void {
    const sdp = tracks.map((one) => `mid:${one.mid}`).join(' ')
    this.emit('media.offer', { type: 'media.offer', session, revision, sdp, tracks })
  }
}

const video = (mid: string, key: string) => ({ mid, key, kind: 'video' as const })
let line: FakeLine
let subscriber: Subscriber

beforeEach(() => {
  vi.useFakeTimers()
  FakePeer.made = []
  line = new FakeLine()
  const connect = () => new FakePeer() as unknown as RTCPeerConnection
  subscriber = new Subscriber({ line: line.line, connect, ice: () => Promise.resolve(), h265: () => false, backoff: new Backoff(300, 300, () => 0.5) })
})
afterEach(() => {
  vi.useRealTimers()
})

async function playing() {
  const track = subscriber.open({ camera: 'cam-1' })
  await vi.advanceTimersByTimeAsync(50)
  line.offer('ses-1', 1, [video('0', track.key)])
  await vi.advanceTimersByTimeAsync(0)
  line.emit('media.track', { type: 'media.track', key: track.key, state: 'live', error: null })
  FakePeer.made[0]?.connect()
  return track
}

/** Signalling states as W3C webrtc §4.3.1 has them; steps last until they are let go on, and misuse throws. */
class ColdPeer extends FakePeer {
  signalingState = 'stable'
  rolledBack = 0
  refuses: string[] = []
  steps: (() => void)[] = []

  private async turn(): Promise<void> {
    await new Promise<void>((go) => this.steps.push(go))
    if (this.closed) throw new DOMException('closed', 'InvalidStateError')
  }
  override async setRemoteDescription(offer: { sdp: string }): Promise<void> {
    await this.turn()
    if (this.refuses.includes(offer.sdp)) throw new DOMException('not understood', 'OperationError')
    if (this.signalingState === 'have-local-offer') this.rolledBack += 1 // implicitly: this side is the polite one
    await super.setRemoteDescription(offer)
    this.signalingState = 'have-remote-offer'
  }
  override async setLocalDescription(): Promise<void> {
    await this.turn()
    if (this.signalingState !== 'have-remote-offer') throw new DOMException('nothing to answer', 'InvalidStateError')
    await super.setLocalDescription()
    this.signalingState = 'stable'
  }
  /** Let the step in hand end. */
  async go(): Promise<void> {
    await vi.advanceTimersByTimeAsync(0)
    this.steps.shift()?.()
    await vi.advanceTimersByTimeAsync(0)
  }
}

describe('perfect negotiation', () => {
  let peers: ColdPeer[]
  let polite: Subscriber
  let wanted: SharedTrack
  const answers = () => line.sent.filter((one) => one.type === 'media.answer').map((one) => [one.session, one.revision])

  const step = async (at: number) => {
    await vi.advanceTimersByTimeAsync(0)
    await peers[at]?.go()
  }

  beforeEach(async () => {
    peers = []
    const connect = () => {
      const peer = new ColdPeer()
      peers.push(peer)
      return peer as unknown as RTCPeerConnection
    }
    polite = new Subscriber({ line: line.line, connect, ice: () => Promise.resolve(), h265: () => false, backoff: new Backoff(300, 300, () => 0.5) })
    wanted = polite.open({ camera: 'cam-1' })
    await vi.advanceTimersByTimeAsync(50)
  })

  it('never begins an answer while another one is being made', async () => {
    line.offer('ses-1', 1, [video('0', '1')])
    line.offer('ses-1', 2, [video('0', '1'), video('1', '1')])
    await step(0)
    expect(peers).toHaveLength(1)
    expect(peers[0]?.steps).toHaveLength(1) // of the second offer: the first one was overtaken before it began
    await step(0)
    expect(answers()).toEqual([['ses-1', 2]])
    expect(peers[0]?.signalingState).toBe('stable')
  })

  it('finishes the answer in hand before an offer that arrives meanwhile', async () => {
    line.offer('ses-1', 1, [video('0', '1')])
    await step(0) // the offer is taken, the answer is being made
    expect(peers[0]?.signalingState).toBe('have-remote-offer')
    line.offer('ses-1', 2, [video('0', '1'), video('1', '1')])
    await vi.advanceTimersByTimeAsync(0)
    expect(peers[0]?.remote).toHaveLength(1)
    for (let i = 0; i < 3; i += 1) await step(0)
    expect(peers[0]?.remote).toEqual(['mid:0', 'mid:0 mid:1'])
    expect(answers()).toEqual([['ses-1', 1], ['ses-1', 2]])
  })

  it('passes over an offer that it has answered already, and an older one', async () => {
    line.offer('ses-1', 2, [video('0', '1')])
    await step(0)
    await step(0)
    line.offer('ses-1', 2, [video('0', '1')])
    line.offer('ses-1', 1, [video('0', '1')])
    await step(0)
    expect(answers()).toEqual([['ses-1', 2]])
    expect(peers[0]?.remote).toHaveLength(1)
  })

  it('gives way where it had an offer of its own in hand', async () => {
    line.offer('ses-1', 1, [video('0', '1')])
    await vi.advanceTimersByTimeAsync(0)
    if (peers[0]) peers[0].signalingState = 'have-local-offer'
    await step(0)
    await step(0)
    expect(peers[0]?.rolledBack).toBe(1)
    expect(answers()).toEqual([['ses-1', 1]])
  })

  it('asks for an offer anew when one cannot be used, and for another connection when that cannot be either', async () => {
    line.offer('ses-1', 1, [video('0', '1')])
    await vi.advanceTimersByTimeAsync(0)
    peers[0]?.refuses.push('mid:0')
    await step(0)
    expect(line.sent.filter((one) => one.type === 'media.restart')).toHaveLength(1)
    line.offer('ses-1', 2, [video('0', '1')])
    await step(0)
    expect(line.sent.filter((one) => one.type === 'media.restart')).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(400)
    expect(line.last('media.subscribe')).toMatchObject({ anew: true, session: null })
    line.offer('ses-2', 1, [video('0', '1')])
    await step(1)
    await step(1)
    expect(answers()).toEqual([['ses-2', 1]])
  })

  it('says nothing of an offer whose connection it closed meanwhile', async () => {
    line.offer('ses-1', 1, [video('0', '1')])
    await vi.advanceTimersByTimeAsync(0)
    polite.drop(wanted)
    await vi.advanceTimersByTimeAsync(50)
    line.sent = []
    await step(0)
    expect(peers[0]?.closed).toBe(true)
    expect(line.sent).toEqual([])
    line.offer('ses-1', 2, [video('0', '1')])
    await vi.advanceTimersByTimeAsync(0)
    expect(peers).toHaveLength(1)
  })
})

describe('the one connection', () => {
  it('tells all wishes of a moment in one list', async () => {
    subscriber.open({ camera: 'cam-1' })
    subscriber.open({ conference: 'conf-1', member: 'mem-1', audio: true })
    await vi.advanceTimersByTimeAsync(50)
    expect(line.sent).toHaveLength(1)
    const [one, two] = line.last('media.subscribe')?.tracks ?? []
    expect(one).toMatchObject({ camera: 'cam-1', conference: null, audio: false, visible: true })
    expect(two).toMatchObject({ camera: null, conference: 'conf-1', member: 'mem-1', audio: true })
  })

  it('answers an offer and gives each picture the track of its section', async () => {
    const first = await playing()
    const second = subscriber.open({ camera: 'cam-2' })
    const twin = subscriber.open({ camera: 'cam-1' })
    line.offer('ses-1', 2, [video('0', first.key), video('1', second.key), video('0', twin.key)])
    await vi.advanceTimersByTimeAsync(0)
    expect(FakePeer.made).toHaveLength(1)
    expect(line.last('media.answer')).toMatchObject({ session: 'ses-1', revision: 2, sdp: 'answer to mid:0 mid:1 mid:0' })
    expect(second.tracks[0]).not.toBe(first.tracks[0])
    expect(twin.tracks[0]).toBe(first.tracks[0])
  })

  it('tells a width in steps, and nothing where nothing changed', async () => {
    const track = await playing()
    line.sent = []
    track.look(301, true)
    await vi.advanceTimersByTimeAsync(50)
    expect(line.last('media.subscribe')).toMatchObject({ session: 'ses-1', tracks: [{ width: 304, visible: true }] })
    line.sent = []
    track.look(299, true)
    await vi.advanceTimersByTimeAsync(50)
    expect(line.sent).toEqual([])
  })

  it('says that it hears nothing, and opens another connection when that does not help', async () => {
    await playing()
    line.sent = []
    for (let i = 0; i < 4; i += 1) {
      if (FakePeer.made[0]) FakePeer.made[0].packets += 1
      await vi.advanceTimersByTimeAsync(400)
    }
    expect(line.last('media.restart')).toBeUndefined()
    await vi.advanceTimersByTimeAsync(2_000)
    expect(line.sent.filter((one) => one.type === 'media.restart')).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(5_000)
    expect(line.last('media.subscribe')).toMatchObject({ anew: true, session: null })
  })

  it('expects nothing of what nobody sees', async () => {
    const track = await playing()
    track.look(300, false)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(line.last('media.restart')).toBeUndefined()
  })

  it('changes each picture over once the new connection shows it, and only then lets the old one go', async () => {
    const one = await playing()
    const two = subscriber.open({ camera: 'cam-2' })
    line.offer('ses-1', 2, [video('0', one.key), video('1', two.key)])
    await vi.advanceTimersByTimeAsync(0)
    const before = [one.tracks[0], two.tracks[0]]
    line.offer('ses-2', 1, [video('0', two.key), video('1', one.key)])
    await vi.advanceTimersByTimeAsync(0)
    const [old, fresh] = FakePeer.made
    fresh?.connect()
    if (fresh) fresh.packets = 5
    await vi.advanceTimersByTimeAsync(500)
    expect([one.tracks[0], two.tracks[0]]).toEqual(before)
    fresh?.decoded.push('0')
    await vi.advanceTimersByTimeAsync(100)
    expect(one.tracks[0]).toBe(before[0])
    expect(two.tracks[0]).not.toBe(before[1])
    expect(old?.closed).toBe(false)
    fresh?.decoded.push('1')
    await vi.advanceTimersByTimeAsync(100)
    expect(one.tracks[0]).not.toBe(before[0])
    expect(old?.closed).toBe(true)
    expect(fresh?.closed).toBe(false)
  })

  it('does not wait for ever for what the new connection does not bring', async () => {
    const track = await playing()
    const before = track.tracks[0]
    line.offer('ses-2', 1, [video('0', track.key)])
    await vi.advanceTimersByTimeAsync(9_000)
    expect(track.tracks[0]).not.toBe(before)
    expect(FakePeer.made.map((one) => one.closed)).toEqual([true, false])
  })

  it('keeps the connection that shows pictures when the next one is replaced before it shows any', async () => {
    const track = await playing()
    line.offer('ses-2', 1, [video('0', track.key)])
    await vi.advanceTimersByTimeAsync(100)
    line.offer('ses-3', 1, [video('0', track.key)])
    await vi.advanceTimersByTimeAsync(100)
    expect(FakePeer.made.map((one) => one.closed)).toEqual([false, true, false])
    FakePeer.made[2]?.decoded.push('0')
    await vi.advanceTimersByTimeAsync(100)
    expect(FakePeer.made.map((one) => one.closed)).toEqual([true, true, false])
  })

  it('goes on with its connection when the line is back', async () => {
    await playing()
    line.sent = []
    line.emit('ready', { type: 'hello', now: 0, seq: 0, user: {} } as never)
    expect(line.last('media.subscribe')).toMatchObject({ session: 'ses-1', anew: false })
  })

  it('comes again after its end, and closes everything when nobody wants anything', async () => {
    const track = await playing()
    line.sent = []
    line.emit('media.ended', { type: 'media.ended', session: 'ses-1', reason: 'closed' })
    await vi.advanceTimersByTimeAsync(400)
    expect(line.last('media.subscribe')).toMatchObject({ anew: true })
    track.close()
    await vi.advanceTimersByTimeAsync(50)
    expect(line.last('media.subscribe')?.tracks).toEqual([])
    expect(FakePeer.made.every((one) => one.closed)).toBe(true)
  })

  it('asks for another connection after it closed its own', async () => {
    const track = await playing()
    track.close()
    await vi.advanceTimersByTimeAsync(50)
    subscriber.open({ camera: 'cam-2' })
    await vi.advanceTimersByTimeAsync(50)
    expect(line.last('media.subscribe')).toMatchObject({ anew: true, session: null, tracks: [{ camera: 'cam-2' }] })
  })

  it('takes back what it wanted for a moment, before anything was offered', async () => {
    const track = subscriber.open({ camera: 'cam-1' })
    await vi.advanceTimersByTimeAsync(50)
    track.close()
    await vi.advanceTimersByTimeAsync(50)
    expect(line.last('media.subscribe')?.tracks).toEqual([])
    line.offer('ses-1', 1, [video('0', track.key)])
    await vi.advanceTimersByTimeAsync(0)
    expect(FakePeer.made).toEqual([])
  })

  it('knows which layer comes, and has no figures of a track of before', async () => {
    const track = await playing()
    line.emit('media.track', { type: 'media.track', key: track.key, state: 'live', error: null, layer: 1, layers: 3 })
    expect(track.layer).toEqual({ at: 1, of: 3 })
    line.emit('media.track', { type: 'media.track', key: track.key, state: 'live', error: null, layer: null, layers: null })
    expect(track.layer).toBeNull()
    const [peer] = FakePeer.made
    if (peer) peer.getStats = () => Promise.reject(new DOMException('not a track of this one', 'InvalidAccessError'))
    expect(await track.getStats()).toBeNull()
  })

  it('hands an error of the whole list to who still waits', async () => {
    const track = subscriber.open({ camera: 'cam-1' })
    await vi.advanceTimersByTimeAsync(50)
    line.emit('error', { type: 'error', error: 'relay.none', message: '', re: 'media.subscribe' })
    expect([track.state, track.error]).toEqual(['refused', 'relay.none'])
  })
})

it('knows where WHEP has the same', () => {
  expect(addressOf({ camera: 'cam-1' })).toBe('/whep/cameras/cam-1')
  expect(addressOf({ conference: 'c', member: 'm' })).toBe('/whep/conferences/c/members/m')
  expect(addressOf({ conference: 'c' })).toBe('/whep/conferences/c/stage')
})
