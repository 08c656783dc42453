// Figures of one inbound video from RTCPeerConnection.getStats(). Pure.

/** Which of the sizes of a picture comes: 1 is the smallest. */
export interface Layer {
  at: number
  of: number
}

export interface Stats {
  framesDecoded: number
  fps: number | null
  width: number | null
  height: number | null
  codec: string | null
  kbps: number | null
  rtt: number | null // ms, whole way and back
  delay: number | null // ms: half the way, jitter buffer and decoding
  loss: number | null // 0..1 since the last reading
  layer: Layer | null // where the source has several sizes
}

export interface Counters {
  at: number // ms
  ssrc: number | null // other counters than those of another one: a section that is used again begins anew
  bytes: number
  received: number
  lost: number
  bufferDelay: number // s, summed over frames
  buffered: number // frames
  decodeTime: number // s, summed
  decoded: number
  packets: number | null // of any kind, over the whole connection; null: the browser does not tell
}

type Entry = Record<string, unknown> & { type: string; id: string }

const num = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null)

function pairRtt(entries: Entry[]): number | null {
  const pair = entries.find((one) => one.type === 'candidate-pair' && one.nominated === true && one.state === 'succeeded')
  const seconds = num(pair?.currentRoundTripTime)
  return seconds === null ? null : seconds * 1000
}

function mean(sum: number, before: number, count: number, countBefore: number): number {
  return count > countBefore ? ((sum - before) / (count - countBefore)) * 1000 : 0
}

/** Read one report; `before` are the counters of the last reading. */
export function readStats(
  report: Iterable<unknown>,
  at: number,
  before: Counters | null,
): { stats: Stats; counters: Counters } | null {
  const entries = [...report] as Entry[]
  const inbound = entries.find((one) => one.type === 'inbound-rtp' && one.kind === 'video')
  if (!inbound) return null
  const counters: Counters = {
    at,
    ssrc: num(inbound.ssrc),
    bytes: num(inbound.bytesReceived) ?? 0,
    received: num(inbound.packetsReceived) ?? 0,
    lost: num(inbound.packetsLost) ?? 0,
    bufferDelay: num(inbound.jitterBufferDelay) ?? 0,
    buffered: num(inbound.jitterBufferEmittedCount) ?? 0,
    decodeTime: num(inbound.totalDecodeTime) ?? 0,
    decoded: num(inbound.framesDecoded) ?? 0,
    packets: num(entries.find((one) => one.type === 'transport')?.packetsReceived),
  }
  const last = before?.ssrc === counters.ssrc ? before : { at, ssrc: counters.ssrc, bytes: 0, received: 0, lost: 0, bufferDelay: 0, buffered: 0, decodeTime: 0, decoded: 0, packets: null }
  const rtt = pairRtt(entries)
  const buffer = mean(counters.bufferDelay, last.bufferDelay, counters.buffered, last.buffered)
  const decode = mean(counters.decodeTime, last.decodeTime, counters.decoded, last.decoded)
  const lost = Math.max(0, counters.lost - last.lost)
  const due = lost + Math.max(0, counters.received - last.received)
  const codec = entries.find((one) => one.type === 'codec' && one.id === inbound.codecId)
  const mime = typeof codec?.mimeType === 'string' ? codec.mimeType : null
  const stats: Stats = {
    framesDecoded: counters.decoded,
    fps: num(inbound.framesPerSecond),
    width: num(inbound.frameWidth),
    height: num(inbound.frameHeight),
    codec: mime ? mime.replace(/^video\//, '') : null,
    kbps: at > last.at ? Math.round(((counters.bytes - last.bytes) * 8) / (at - last.at)) : null,
    rtt: rtt === null ? null : Math.round(rtt),
    delay: rtt === null ? null : Math.round(rtt / 2 + buffer + decode),
    loss: due > 0 ? lost / due : null,
    layer: null,
  }
  return { stats, counters }
}
