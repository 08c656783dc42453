import { describe, expect, it } from 'vitest'
import type { Channel } from '@/wire/types'
import { channelRows } from './tree'

const one = (id: string, kind = 'channel', parents: string[] = [], over: Partial<Channel> = {}): Channel =>
  ({ id, name: id, kind, parents, civil_code: '', manufacturer: '', model: '', address: '', status: 'on', ptz: 0, longitude: null, latitude: null, position_at: null, camera: null, ...over })

const short = (channels: Channel[], search = '', closed: string[] = []): string[] =>
  channelRows(channels, search, new Set(closed)).map((row) => `${' '.repeat(row.depth)}${row.channel.id}`)

const MIXED = [
  one('34', 'civil_code'), one('3402', 'civil_code'), one('g1', 'business_group', ['34020000001180000001']),
  one('o1', 'virtual_organisation', ['g1']), one('c1', 'channel', ['o1', '3402']), one('c2', 'channel', ['o1'], { name: '东门球机' }),
  one('c3', 'channel', [], { civil_code: '340211' }),
]

describe('channelRows', () => {
  it('lays civil codes into each other, and organisations into groups', () => {
    expect(short(MIXED)).toEqual(['34', ' 3402', '  c1', '  c3', 'g1', ' o1', '  c1', '  c2'])
  })

  it('shows a channel under each of its parents, with a key of its own', () => {
    const keys = channelRows(MIXED, '', new Set()).filter((row) => row.channel.id === 'c1').map((row) => row.key)
    expect(keys).toEqual(['34/3402/c1', 'g1/o1/c1'])
  })

  it('puts what names a parent that nobody sent at the top', () => {
    expect(short([one('c1', 'channel', ['nowhere'])])).toEqual(['c1'])
  })

  it('ends where a catalogue bites its tail, and loses nothing of it', () => {
    const ring = [one('a', 'virtual_organisation', ['b']), one('b', 'virtual_organisation', ['a']), one('c', 'channel', ['b']), one('d', 'channel', ['d'])]
    const rows = short(ring).map((row) => row.trim())
    expect(new Set(rows)).toEqual(new Set(['a', 'b', 'c', 'd']))
  })

  it('folds a branch, but not while one searches', () => {
    expect(short(MIXED, '', ['g1', '34'])).toEqual(['34', 'g1'])
    expect(short(MIXED, '球机', ['g1'])).toEqual(['g1', ' o1', '  c2'])
  })

  it('counts the channels of a branch', () => {
    expect(channelRows(MIXED, '', new Set()).find((row) => row.channel.id === 'g1')?.below).toBe(2)
  })

  it('says nothing when nothing matches', () => {
    expect(short(MIXED, 'nothing')).toEqual([])
  })

  it('takes a catalogue of 20,000', () => {
    const many = Array.from({ length: 20_000 }, (_, at) => one(`c${String(at)}`, 'channel', ['o1']))
    expect(channelRows([...MIXED.slice(0, 4), ...many], '', new Set())).toHaveLength(20_004)
  })
})
