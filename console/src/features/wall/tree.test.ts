import { describe, expect, it } from 'vitest'
import type { Camera, Unit } from '@/wire/types'
import { matches, rows } from './tree'

const unit = (id: string, parent: string | null): Unit => ({ id, parent, kind: 'town', name: id, name_en: id, online: 0 })
const camera = (id: string, of: string, name = id, english = ''): Camera => ({ id, unit: of, unit_name: of, name, name_en: english }) as Camera

const UNITS = [unit('city', null), unit('town', 'city'), unit('village', 'town'), unit('empty', 'city')]
const CAMERAS = [camera('c1', 'city', '市政府广场', 'City Hall'), camera('v1', 'village', '东岭村委会', 'Dongling'), camera('v2', 'village', '西门', 'West Gate')]

const short = (search = '', closed: string[] = []): string[] =>
  rows(UNITS, CAMERAS, search, new Set(closed)).map((row) => `${' '.repeat(row.depth)}${row.id}`)

describe('rows', () => {
  it('lists units with their cameras, and leaves empty units out', () => {
    expect(short()).toEqual(['city', ' c1', ' town', '  village', '   v1', '   v2'])
  })

  it('folds a unit with everything below it', () => {
    expect(short('', ['town'])).toEqual(['city', ' c1', ' town'])
  })

  it('opens what is folded while one searches, and shows only what matches', () => {
    expect(short('东岭', ['city', 'town'])).toEqual(['city', ' town', '  village', '   v1'])
    expect(short('nothing')).toEqual([])
  })

  it('counts the cameras of a whole branch', () => {
    const city = rows(UNITS, CAMERAS, '', new Set())[0]
    expect(city?.kind === 'unit' && city.count).toBe(3)
  })

  it('shows cameras of a unit that one may not know', () => {
    expect(rows(UNITS, [camera('x', 'elsewhere')], '', new Set()).map((row) => row.id)).toEqual(['x'])
  })

  it('starts at the topmost unit that one may know', () => {
    expect(rows([unit('town', 'city')], [camera('x', 'town')], '', new Set()).map((row) => row.id)).toEqual(['town', 'x'])
  })

  it('ends on a tree that bites its tail', () => {
    expect(rows([unit('a', 'b'), unit('b', 'a')], [camera('x', 'a')], '', new Set())).toEqual([])
  })

  it('takes 20,000 cameras', () => {
    const many = Array.from({ length: 20_000 }, (_, at) => camera(`c${String(at)}`, 'village'))
    expect(rows(UNITS, many, '', new Set())).toHaveLength(20_003)
  })
})

describe('matches', () => {
  it('wants every word, in any order and case, of name, English name, unit or id', () => {
    const one = camera('cam-77', '白河镇', '人民广场东门', 'People Square')
    for (const search of ['', '  ', '广场', 'SQUARE people', '白河 东门', 'cam-77']) expect(matches(one, search)).toBe(true)
    for (const search of ['西门', 'square west']) expect(matches(one, search)).toBe(false)
  })
})
