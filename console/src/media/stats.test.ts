import { describe, expect, it } from 'vitest'
import { readStats } from './stats'

function report(over: Record<string, unknown> = {}): Record<string, unknown>[] {
  return [
    {
      id: 'in', type: 'inbound-rtp', kind: 'video', bytesReceived: 250_000, packetsReceived: 198, packetsLost: 2,
      jitterBufferDelay: 2, jitterBufferEmittedCount: 50, totalDecodeTime: 0.25, framesDecoded: 50,
      framesPerSecond: 25, frameWidth: 1280, frameHeight: 720, codecId: 'c', ...over,
    },
    { id: 'c', type: 'codec', mimeType: 'video/H264' },
    { id: 'p', type: 'candidate-pair', nominated: true, state: 'succeeded', currentRoundTripTime: 0.012 },
  ]
}

describe('readStats', () => {
  it('answers null before the first packet', () => {
    expect(readStats([{ id: 'p', type: 'candidate-pair' }], 0, null)).toBeNull()
  })

  it('reads delay, loss and size', () => {
    const read = readStats(report(), 1_000, null)
    expect(read?.stats).toEqual({
      framesDecoded: 50, fps: 25, width: 1280, height: 720, codec: 'H264', kbps: null,
      rtt: 12, delay: 6 + 40 + 5, loss: 0.01, layer: null,
    })
  })

  it('measures what came since the last reading', () => {
    const first = readStats(report(), 1_000, null)
    const second = readStats(report({ bytesReceived: 500_000, packetsReceived: 298, packetsLost: 2 }), 2_000, first?.counters ?? null)
    expect(second?.stats.kbps).toBe(2_000)
    expect(second?.stats.loss).toBe(0)
  })

  it('has no figure for loss when nothing came', () => {
    const first = readStats(report(), 1_000, null)
    expect(readStats(report(), 2_000, first?.counters ?? null)?.stats.loss).toBeNull()
  })

  it('never answers less than no loss when a counter runs back', () => {
    const first = readStats(report({ packetsLost: 9 }), 1_000, null)
    expect(readStats(report({ packetsReceived: 300, packetsLost: 4 }), 2_000, first?.counters ?? null)?.stats.loss).toBe(0)
  })
})
