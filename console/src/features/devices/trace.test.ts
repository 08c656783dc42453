import { describe, expect, it } from 'vitest'
import type { TraceEntry } from '@/wire/types'
import { asText, keysOf, shown, toneOf } from './trace'

const entry = (direction: 'in' | 'out', summary: string, text = summary, at = 0): TraceEntry =>
  ({ at, direction, transport: 'udp', peer: '10.1.2.3:5060', summary, text })
const TRACE = [entry('in', 'REGISTER'), entry('out', '401 Unauthorized'), entry('in', 'REGISTER'), entry('out', '403 Forbidden'), entry('out', 'INVITE', 'INVITE\r\nSubject: x'), entry('in', '503 Service Unavailable')]
const said = (list: TraceEntry[]) => list.map((one) => one.summary)

describe('toneOf', () => {
  it.each([
    ['REGISTER', 'plain'], ['200 OK', 'plain'], ['100 Trying', 'plain'], ['401 Unauthorized', 'challenge'], ['407 Proxy', 'challenge'],
    ['403 Forbidden', 'refused'], ['486 Busy Here', 'refused'], ['500 Server', 'broken'], ['603 Decline', 'broken'], ['MESSAGE 404', 'plain'],
  ])('%s is %s', (summary, tone) => {
    expect(toneOf({ summary })).toBe(tone)
  })
})

describe('shown', () => {
  it('narrows by direction, by what went wrong, and by words in any order', () => {
    expect(said(shown(TRACE, 'in', ''))).toEqual(['REGISTER', 'REGISTER', '503 Service Unavailable'])
    expect(said(shown(TRACE, 'wrong', ''))).toEqual(['403 Forbidden', '503 Service Unavailable'])
    expect(said(shown(TRACE, 'all', 'subject invite'))).toEqual(['INVITE'])
    expect(shown(TRACE, 'all', '10.1.2.3')).toHaveLength(6)
    expect(shown(TRACE, 'all', 'nothing')).toEqual([])
  })
})

describe('asText', () => {
  it('has a head line and the message as it was', () => {
    expect(asText([entry('in', 'INVITE', 'INVITE sip:a\r\nVia: b\r\n\r\n', 1_500)])).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:01\.500 <- UDP 10\.1\.2\.3:5060\nINVITE sip:a\nVia: b\n$/)
  })
})

describe('keysOf', () => {
  it('tells equal messages apart, and stays the same when more come', () => {
    const keys = keysOf(TRACE)
    expect(new Set(keys).size).toBe(TRACE.length)
    expect(keysOf([...TRACE, entry('in', 'BYE')]).slice(0, TRACE.length)).toEqual(keys)
  })
})
