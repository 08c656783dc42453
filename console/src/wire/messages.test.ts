import { describe, expect, it } from 'vitest'
import { parseServer } from './messages'

const GOOD = [
  { type: 'hello', now: 1, seq: 0, user: { id: 'usr-1' } },
  { type: 'pong', n: 3, now: 5 },
  { type: 'event', seq: 4, kind: 'alert.raised', at: 1, unit: 'ruyi', ref: 'alr-1', data: null },
  { type: 'camera.state', camera: 'cam-1', state: 'live', reason: null },
  { type: 'ring', conference: 'cnf-1', member: 'mbr-1', title: 't', caller: 'c', caller_unit: 'u', incident: null, run: null, until: 9 },
  { type: 'ring.ended', conference: 'cnf-1', reason: 'missed' },
  { type: 'conference.state', conference: { id: 'cnf-1' } },
  { type: 'presence', units: { ruyi: 2 } },
  { type: 'error', error: 'ws.not_understood', message: 'no' },
  { type: 'bye', reason: 'expired' },
]

describe('parseServer', () => {
  it.each(GOOD)('takes $type', (message) => {
    expect(parseServer(JSON.stringify(message))).toEqual(message)
  })

  it.each(GOOD)('refuses $type without one of its fields', (message) => {
    const needed = Object.keys(message).find((key) => !['type', 'data', 'reason', 'caller_unit', 'incident', 'run'].includes(key))
    const field = needed ?? 'reason'
    const rest = Object.fromEntries(Object.entries(message).filter(([key]) => key !== field))
    expect(parseServer(JSON.stringify(rest))).toBeNull()
  })

  it.each(['', 'null', '[]', '3', '"hello"', '{"type":"later"}', '{"type":"constructor"}', '{"type":7}', '{'])('refuses %s', (text) => {
    expect(parseServer(text)).toBeNull()
  })

  it('refuses what is no text', () => {
    expect(parseServer(new ArrayBuffer(4))).toBeNull()
  })

  it('refuses a field of the wrong type', () => {
    expect(parseServer('{"type":"pong","n":"3","now":5}')).toBeNull()
    expect(parseServer('{"type":"presence","units":null}')).toBeNull()
  })
})
