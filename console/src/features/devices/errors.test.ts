import { describe, expect, it } from 'vitest'
import { words } from '@/i18n'
import { wordsOfId } from '@/ui/words'
import type { Words } from '@/i18n/merge'

// Every refusal and reason that the protocol's page names, and the gateway's and the relay's own in their sources.
const texts = import.meta.glob<string>(
  ['../../../../docs/protocol.md', '../../../../hub/gateway/*.py', '../../../../hub/media/sources/gb28181/*.py', '../../../../hub/services/{devices,platforms,playbacks,talks,camera_control}.py'],
  { query: '?raw', import: 'default', eager: true },
)
const NOUNS = /["`]((?:gb28181|device|platform|playback|talk|gateway|records)\.[a-z0-9_]+)["`]/g
const QUIET = new Set([ // never shown to people: log lines, event kinds, and what is wrong with a message between nodes
  'device.changed', 'device.added', 'device.removed', 'device.silent', 'device.refused', 'device.not_taken', 'platform.set', 'platform.removed',
  'platform.shared', 'gateway.ready', 'gateway.replaced', 'gateway.stands_by', 'gateway.not_announced', 'gateway.not_told', 'gateway.no_id',
  'gb28181.attempt', 'gb28181.first', 'gb28181.failed', 'talk.over', 'talk.crashed', 'device.online', 'device.registered',
])

const ids = [...new Set(Object.entries(texts).flatMap(([file, text]) => {
  const only = file.endsWith('.md') ? text : text.split('\n').filter((line) => !/\blog\.|\.note\(/.test(line)).join('\n')
  return [...only.matchAll(NOUNS)].map((match) => match[1] ?? '')
}))].filter((id) => !QUIET.has(id)).sort()

describe('what a device or the gateway refuses', () => {
  it('is found in the sources', () => {
    expect(Object.keys(texts).length).toBeGreaterThan(10)
    expect(ids).toContain('gb28181.answered_no_packets')
    expect(ids.length).toBeGreaterThan(30)
  })

  it('has a sentence of its own in both languages', () => {
    const lacks = (tree: Words) => ids.filter((id) => typeof (tree.error as Words)[id.replaceAll('.', '_')] !== 'string')
    expect(lacks(words('zh'))).toEqual([])
    expect(lacks(words('en'))).toEqual([])
  })

  it('is said where an alert, a tile or a form shows it', () => {
    expect(wordsOfId('gb28181.password_wrong')).toContain('密码')
  })
})
