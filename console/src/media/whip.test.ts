import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Backoff } from '@/wire/backoff'
import { ApiError } from '@/wire/http'
import { layersOf, movePublishers, WhipPublisher } from './whip'

interface Track {
  kind: string
}

class FakeStream {
  constructor(private tracks: Track[] = []) {}
  getTracks(): Track[] {
    return [...this.tracks]
  }
  addTrack(track: Track): void {
    this.tracks.push(track)
  }
  removeTrack(track: Track): void {
    this.tracks = this.tracks.filter((one) => one !== track)
  }
}

class FakePeer {
  static made: FakePeer[] = []
  connectionState = 'new'
  localDescription: { sdp: string } | null = null
  remote = ''
  closed = false
  sent: string[] = []
  replaced: (Track | null)[] = []
  onconnectionstatechange: (() => void) | null = null
  readonly transport: { state: string; onstatechange: (() => void) | null } = { state: 'connected', onstatechange: null }

  constructor() {
    FakePeer.made.push(this)
  }
  addTransceiver(track: Track | string, init: { direction: string; sendEncodings: { maxBitrate?: number }[] }): void {
    const what = typeof track === 'string' ? `no ${track}` : track.kind
    this.sent.push([what, init.direction, init.sendEncodings.at(-1)?.maxBitrate].filter(Boolean).join(' '))
  }
  getTransceivers(): { receiver: { track: Track }; sender: { replaceTrack: (track: Track | null) => Promise<void> } }[] {
    const sender = {
      replaceTrack: (track: Track | null) => {
        this.replaced.push(track)
        return Promise.resolve()
      },
    }
    return ['audio', 'video'].map((kind) => ({ receiver: { track: { kind } }, sender }))
  }
  getReceivers(): { transport: object }[] {
    return [{ transport: this.transport }]
  }
  getSenders(): object[] {
    return []
  }
  setLocalDescription(): Promise<void> {
    this.localDescription = { sdp: 'offer' }
    return Promise.resolve()
  }
  setRemoteDescription(answer: { sdp: string }): Promise<void> {
    this.remote = answer.sdp
    return Promise.resolve()
  }
  close(): void {
    this.closed = true
  }
  become(state: string): void {
    this.connectionState = state
    this.onconnectionstatechange?.()
  }
}

const ended: (string | null)[] = []
let refuse: ApiError[] = []
let session = 0

function publisher(): WhipPublisher {
  return new WhipPublisher({
    url: '/whip/conferences/conf-1',
    backoff: new Backoff(1_000, 8_000, () => 0.5),
    ice: () => Promise.resolve(),
    connect: () => new FakePeer() as unknown as RTCPeerConnection,
    post: () => {
      const error = refuse.shift()
      if (error) return Promise.reject(error)
      session += 1
      return Promise.resolve({ answer: 'answer', session: `/whip/sessions/${String(session)}` })
    },
    end: (which) => ended.push(which),
  })
}

function media(...kinds: string[]): MediaStream {
  return new FakeStream(kinds.map((kind) => ({ kind }))) as unknown as MediaStream
}

function peer(): FakePeer {
  const last = FakePeer.made.at(-1)
  if (!last) throw new Error('no connection was made')
  return last
}

async function settled(): Promise<void> {
  await vi.advanceTimersByTimeAsync(0)
}

beforeEach(() => {
  vi.useFakeTimers()
  FakePeer.made = []
  ended.length = 0
  refuse = []
  session = 0
})
afterEach(() => {
  vi.useRealTimers()
})

describe('WhipPublisher', () => {
  it('offers one of each kind, the picture with a limit, and is live once connected', async () => {
    const one = publisher()
    one.start(media('audio', 'video'))
    await settled()
    expect(peer().sent).toEqual(['audio sendonly', 'video sendonly 1200000'])
    expect(peer().remote).toBe('answer')
    expect(one.view.phase).toBe('connecting')
    peer().become('connected')
    expect(one.view).toEqual({ phase: 'live', reason: null, retryAt: null })
    one.stop()
    expect(one.view.phase).toBe('idle')
    expect(peer().closed).toBe(true)
    expect(ended).toEqual(['/whip/sessions/1'])
  })

  it('publishes elsewhere beside the old connection when its relay drains, and at once when it is lost', async () => {
    const one = publisher()
    one.start(media('audio', 'video'))
    await settled()
    peer().become('connected')
    const old = peer()
    movePublishers('9', 'drain') // somebody else's
    movePublishers('1', 'drain')
    await settled()
    peer().become('connected')
    expect(FakePeer.made).toHaveLength(2)
    expect(one.view.phase).toBe('live')
    expect(old.closed).toBe(false)
    await vi.advanceTimersByTimeAsync(5_000)
    expect(old.closed).toBe(true)
    expect(ended.filter(Boolean)).toEqual(['/whip/sessions/1'])
    movePublishers('2', 'lost')
    await settled()
    expect(FakePeer.made).toHaveLength(3)
    movePublishers('3', 'drain')
    await settled()
    one.stop()
    expect(FakePeer.made.every((each) => each.closed)).toBe(true)
    expect(ended.filter(Boolean)).toEqual(['/whip/sessions/1', '/whip/sessions/2', '/whip/sessions/3', '/whip/sessions/4'])
  })

  it('keeps the place of a kind that is missing, so that it can be added without a new session', async () => {
    const one = publisher()
    one.start(media('audio'))
    await settled()
    expect(peer().sent).toEqual(['audio sendonly', 'no video sendonly 1200000'])
    const video = { kind: 'video' } as MediaStreamTrack
    await one.replace('video', video)
    expect(peer().replaced).toEqual([video])
    expect(FakePeer.made).toHaveLength(1)
    one.stop()
  })

  it.each(['closed', 'failed'])('knows by the transport (%s) that the relay ended it, before the connection does', async (state) => {
    const one = publisher()
    one.start(media('audio'))
    await settled()
    peer().become('connected')
    peer().transport.state = state
    peer().transport.onstatechange?.()
    expect(one.view).toMatchObject({ phase: 'lost', reason: 'player.connection', retryAt: Date.now() + 1_000 })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(FakePeer.made).toHaveLength(2)
    one.stop()
  })

  it('goes on while the transport only changes to connected', async () => {
    const one = publisher()
    one.start(media('audio'))
    await settled()
    peer().become('connected')
    peer().transport.onstatechange?.()
    expect(one.view.phase).toBe('live')
    one.stop()
  })

  it('publishes anew after a failure, with growing pauses until it works once', async () => {
    refuse = [1, 2].map(() => new ApiError({ id: 'relay.none', message: '', status: 503 }))
    const one = publisher()
    one.start(media('video'))
    await settled()
    expect(one.view).toMatchObject({ phase: 'lost', reason: 'relay.none', retryAt: Date.now() + 1_000 })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(one.view.retryAt).toBe(Date.now() + 2_000)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(one.view).toMatchObject({ phase: 'connecting', reason: 'relay.none' })
    one.stop()
  })

  it.each([401, 403, 404, 409])('does not ask again after %d', async (status) => {
    refuse = [new ApiError({ id: 'conference.ended', message: '', status })]
    const one = publisher()
    one.start(media('video'))
    await vi.advanceTimersByTimeAsync(60_000)
    expect(one.view).toEqual({ phase: 'lost', reason: 'conference.ended', retryAt: null })
    expect(FakePeer.made).toHaveLength(1)
    one.stop()
  })

  it('gives a connection ten seconds', async () => {
    const one = publisher()
    one.start(media('audio'))
    await vi.advanceTimersByTimeAsync(10_000)
    expect(one.view).toMatchObject({ phase: 'lost', reason: 'player.connection' })
    expect(ended).toEqual(['/whip/sessions/1'])
    one.stop()
  })

  it('ends its session when stopped while the answer is on its way', async () => {
    const one = publisher()
    one.start(media('audio'))
    for (let turn = 0; turn < 2; turn += 1) await Promise.resolve() // TURN servers, then the offer goes out
    one.stop()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(ended).toContain('/whip/sessions/1')
    expect(FakePeer.made).toHaveLength(1)
    expect(one.view.phase).toBe('idle')
  })
})

it('publishes a small picture beside the whole one, the smallest first', () => {
  expect(layersOf(1_200)).toEqual([
    { rid: 'l', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
    { rid: 'h', maxBitrate: 1_200_000 },
  ])
})
