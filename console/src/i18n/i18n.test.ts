import { describe, expect, it } from 'vitest'
import * as common from './common'
import { words } from './index'
import { merge, paths, type LocaleFile, type Words } from './merge'

const zh = words('zh')
const en = words('en')
const sources = import.meta.glob<string>(['../**/*.vue', '../**/*.ts', '!../**/*.test.ts', '!../**/locale.ts', '!./common.ts'], {
  query: '?raw',
  import: 'default',
  eager: true,
})
const locales = import.meta.glob<LocaleFile>('../features/*/locale.ts', { eager: true })

function at(tree: Words, path: string): string {
  const value = path.split('.').reduce<string | Words | undefined>((node, key) => (typeof node === 'object' ? node[key] : undefined), tree)
  return typeof value === 'string' ? value : ''
}

const holes = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '').sort()

describe('words', () => {
  it('are the same set in both languages', () => {
    expect(paths(en)).toEqual(paths(zh))
  })

  it('have the same places for values in both languages', () => {
    const odd = paths(zh).filter((path) => holes(at(zh, path)).join() !== holes(at(en, path)).join())
    expect(odd).toEqual([])
  })

  it('have quotation marks in English that a Chinese font draws narrow', () => {
    expect(paths(en).filter((path) => /[\u2018\u2019\u201c\u201d]/.test(at(en, path)))).toEqual([])
    expect(at(en, 'playback.none_hint')).toContain("device's")
  })

  it('are never empty', () => {
    expect(paths(zh).filter((path) => !at(zh, path).trim() || !at(en, path).trim())).toEqual([])
  })

  it('are written for every key that the code names', () => {
    const known = new Set(paths(zh))
    const missing: string[] = []
    for (const [file, text] of Object.entries(sources)) {
      for (const match of text.matchAll(/\b(?:t|translate)\(\s*'([\w.]+)'/g)) {
        if (!known.has(match[1] ?? '')) missing.push(`${file}: ${match[1] ?? ''}`)
      }
    }
    expect(missing).toEqual([])
  })

  it('lie under the name of their own feature, or under error', () => {
    const stray = Object.entries(locales).flatMap(([file, locale]) => {
      const feature = file.split('/').at(-2) ?? ''
      return Object.keys(locale.zh).filter((key) => key !== 'error' && !key.startsWith(feature.replace(/s$/, '')))
        .map((key) => `${file}: ${key}`)
    })
    expect(stray).toEqual([])
  })

  it('cover every role, severity, state and kind of the interface', () => {
    const groups = ['role', 'severity', 'camera_state', 'alert_state', 'order_state', 'run_state', 'member_state', 'rule_kind', 'unit_kind']
    expect(groups.filter((group) => typeof common.zh[group] !== 'object')).toEqual([])
  })
})

describe('merge', () => {
  it('lays trees over each other', () => {
    expect(merge({ a: { b: '1' } }, { a: { c: '2' }, d: '3' })).toEqual({ a: { b: '1', c: '2' }, d: '3' })
  })

  it('refuses a word that is given twice, and names it', () => {
    expect(() => merge({ a: { b: '1' } }, { a: { b: '2' } })).toThrow('a.b')
    expect(() => merge({ a: '1' }, { a: { b: '2' } })).toThrow('a')
  })

  it('leaves the file that it took alone', () => {
    const file = { a: { b: '1' } }
    merge(merge({}, file), { a: { c: '2' } })
    expect(file).toEqual({ a: { b: '1' } })
  })
})
