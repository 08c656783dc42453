import { describe, expect, it } from 'vitest'
import type { Camera } from '@/wire/types'
import { known } from '@/i18n'
import { branch, changeOf, found, itemsOf, reasonKey, wrongId } from './sharing'

const camera = (id: string, unit: string, name = id): Camera => ({ id, unit, unit_name: unit, name, name_en: '' }) as Camera
const CAMERAS = [camera('c1', 'town', '东门'), camera('c2', 'town', '西门'), camera('c3', 'village', '东岭')]
const all = { search: '', units: null, only: false }

describe('found', () => {
  it('narrows by words, unit and what is chosen, together', () => {
    expect(found(CAMERAS, all, new Map())).toHaveLength(3)
    expect(found(CAMERAS, { ...all, search: '东' }, new Map()).map((one) => one.id)).toEqual(['c1', 'c3'])
    expect(found(CAMERAS, { ...all, search: '东', units: new Set(['town']) }, new Map()).map((one) => one.id)).toEqual(['c1'])
    expect(found(CAMERAS, { ...all, only: true }, new Map([['c2', '']])).map((one) => one.id)).toEqual(['c2'])
  })
})

describe('branch', () => {
  it('holds a unit and all below it, and ends on a ring', () => {
    const units = [{ id: 'village', parent: 'town' }, { id: 'town', parent: 'city' }, { id: 'city', parent: null }, { id: 'x', parent: 'y' }, { id: 'y', parent: 'x' }]
    expect([...branch(units, 'city')].sort()).toEqual(['city', 'town', 'village'])
    expect([...branch(units, 'x')].sort()).toEqual(['x', 'y'])
  })
})

describe('changeOf', () => {
  it('counts what comes, goes and is renamed', () => {
    const before = [{ camera: 'c1', name: '', gb_id: '1' }, { camera: 'c2', name: '', gb_id: '2' }]
    expect(changeOf(before, new Map([['c1', '9'], ['c3', '']]))).toEqual({ added: 1, removed: 1, renamed: 1 })
    expect(changeOf(before, new Map([['c1', '1'], ['c2', '2']]))).toEqual({ added: 0, removed: 0, renamed: 0 })
  })
})

describe('what goes out', () => {
  it('leaves identifiers out that the hub is to give', () => {
    expect(itemsOf(new Map([['c1', ''], ['c2', '34020000001310000001']]))).toEqual([{ camera: 'c1' }, { camera: 'c2', gb_id: '34020000001310000001' }])
  })

  it('takes 18 to 20 digits, or nothing', () => {
    expect(['', '123456789012345678', '12345678901234567890', '1', 'a'.repeat(20)].map(wrongId)).toEqual([false, false, false, true, true])
  })
})

describe('reasonKey', () => {
  it.each(['gb28181.no_answer', 'gb28181.password_wrong', 'gb28181.refused', 'gb28181.heartbeat_lost', 'gb28181.no_such_host', 'anything.else'])('%s has words of a platform', (reason) => {
    expect(known(`platforms.reason.${reasonKey(reason)}`)).toBe(true)
  })
})
