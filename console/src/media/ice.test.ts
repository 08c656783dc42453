import { describe, expect, it, vi } from 'vitest'
import type { IceServers } from '@/wire/types'
import { IceSource, withIceServers } from './ice'

const HOUR = 3_600_000

function served(expires_at: number, only = false): IceServers {
  const items = [{ urls: ['turn:192.0.2.1:3478?transport=udp'], username: `${String(expires_at)}:u-1`, credential: 'c' }]
  return { items, expires_at, only }
}

function peer(): RTCPeerConnection {
  let given: RTCConfiguration = { bundlePolicy: 'max-bundle' }
  return {
    signalingState: 'stable',
    getConfiguration: () => given,
    setConfiguration: (next: RTCConfiguration) => {
      given = next
    },
  } as unknown as RTCPeerConnection
}

describe('TURN servers', () => {
  it('are asked for once, and again before they run out', async () => {
    let now = 0
    const ask = vi.fn(() => Promise.resolve(served(now + HOUR)))
    const source = new IceSource(ask, () => now)
    await Promise.all([source.configuration(), source.configuration()])
    now = HOUR - 6 * 60_000
    await source.configuration()
    expect(ask).toHaveBeenCalledTimes(1)
    now = HOUR - 4 * 60_000
    await source.configuration()
    expect(ask).toHaveBeenCalledTimes(2)
  })

  it('are given to a connection beside what it has, and alone where nothing else leads in', async () => {
    const pc = peer()
    await withIceServers(pc, new IceSource(() => Promise.resolve(served(HOUR, true)), () => 0))
    const { bundlePolicy, iceServers, iceTransportPolicy } = pc.getConfiguration()
    expect([bundlePolicy, iceServers?.[0]?.username, iceTransportPolicy]).toEqual(['max-bundle', '3600000:u-1', 'relay'])
  })

  it('are done without where there are none, or while the hub does not tell', async () => {
    let now = 0
    const ask = vi.fn<() => Promise<IceServers>>(() => Promise.reject(new Error('away')))
    const source = new IceSource(ask, () => now)
    const pc = peer()
    await withIceServers(pc, source)
    expect(pc.getConfiguration().iceServers).toBeUndefined()
    ask.mockResolvedValue({ items: [], expires_at: HOUR, only: false })
    now = 31_000
    await withIceServers(pc, source)
    expect(ask).toHaveBeenCalledTimes(2)
    expect(pc.getConfiguration().iceServers).toBeUndefined()
  })
})
