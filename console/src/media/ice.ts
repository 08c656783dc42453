// TURN servers for peer connections (`GET /api/v1/media/ice-servers`), asked for once and again before they run out.
import { ask } from '@/wire/http'
import type { IceServers } from '@/wire/types'

const EARLY = 5 * 60_000 // ms before their end
const LONGEST = 3_600_000 // ms that an answer is kept: this machine's clock may be wrong
const PAUSE = 30_000 // ms until a failure is tried again

export class IceSource {
  private known: Promise<RTCConfiguration> | null = null
  private until = 0 // ms, local clock

  constructor(
    private readonly fetch: () => Promise<IceServers> = () => ask<IceServers>('/api/v1/media/ice-servers', { quiet: true }),
    private readonly now: () => number = () => Date.now(),
  ) {}

  /** What a connection is given; nothing where there are no servers, or they cannot be had: most need none. */
  configuration(): Promise<RTCConfiguration> {
    if (this.known && this.now() < this.until) return this.known
    this.until = this.now() + PAUSE
    this.known = this.load().catch(() => ({}))
    return this.known
  }

  private async load(): Promise<RTCConfiguration> {
    const found = await this.fetch()
    this.until = this.now() + Math.min(Math.max(found.expires_at - EARLY - this.now(), PAUSE), LONGEST)
    if (found.items.length === 0) return {}
    const iceServers = found.items.map(({ urls, username, credential }) => ({ urls, username, credential }))
    return found.only ? { iceServers, iceTransportPolicy: 'relay' } : { iceServers }
  }
}

const source = new IceSource()

/** Give a connection its TURN servers; call before setLocalDescription. */
export async function withIceServers(pc: RTCPeerConnection, from: IceSource = source): Promise<void> {
  const configuration = await from.configuration()
  if (configuration.iceServers && pc.signalingState !== 'closed') {
    pc.setConfiguration({ ...pc.getConfiguration(), ...configuration })
  }
}
