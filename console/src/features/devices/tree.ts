// A device's catalogue as devices send it: civil codes, business groups, virtual organisations and channels mixed, with
// several parents, unknown ones, or none; sometimes biting its own tail. As flat rows for a virtual list. Pure.
import type { Channel } from '@/wire/types'

export interface ChannelRow {
  key: string // the path: a channel may stand under several parents
  depth: number
  channel: Channel
  children: number // what lies directly below
  below: number // channels in the whole branch
  open: boolean
}

const FOLDERS: ReadonlySet<string> = new Set(['civil_code', 'business_group', 'virtual_organisation', 'device'])
const DEEPEST = 16

export const isFolder = (channel: Channel): boolean => FOLDERS.has(channel.kind)

/** Does it hold every word of the search (name, identifier, address, maker)? */
export function found(channel: Channel, words: readonly string[]): boolean {
  const text = `${channel.name}\n${channel.id}\n${channel.address}\n${channel.manufacturer} ${channel.model}`.toLowerCase()
  return words.every((word) => text.includes(word))
}

export const wordsOfSearch = (search: string): string[] => search.toLowerCase().split(/\s+/).filter(Boolean)

/** The longest known civil code that this one lies in. */
function civilParent(code: string, codes: ReadonlySet<string>): string | null {
  for (let length = code.length - 1; length >= 2; length -= 1) if (codes.has(code.slice(0, length))) return code.slice(0, length)
  return null
}

/** What lies under what. Roots stand under ''. */
export function childrenOf(channels: readonly Channel[]): Map<string, Channel[]> {
  const known = new Set(channels.map((one) => one.id))
  const codes = new Set(channels.filter((one) => one.kind === 'civil_code').map((one) => one.id))
  const below = new Map<string, Channel[]>()
  for (const channel of channels) {
    let parents = [...new Set(channel.parents)].filter((parent) => known.has(parent) && parent !== channel.id)
    if (parents.length === 0) {
      const code = channel.kind === 'civil_code' ? civilParent(channel.id, codes)
        : codes.has(channel.civil_code) ? channel.civil_code : civilParent(channel.civil_code, codes)
      parents = [code !== channel.id && code !== null ? code : '']
    }
    for (const parent of parents) {
      const list = below.get(parent)
      if (list) list.push(channel)
      else below.set(parent, [channel])
    }
  }
  for (const list of below.values()) list.sort((a, b) => Number(isFolder(b)) - Number(isFolder(a)) || a.id.localeCompare(b.id))
  return adopt(channels, below)
}

/** What can be reached from no root stands in a ring: its first member becomes a root. */
function adopt(channels: readonly Channel[], below: Map<string, Channel[]>): Map<string, Channel[]> {
  const reached = new Set<string>()
  const visit = (from: string): void => {
    const waiting = [from]
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      for (const child of below.get(id) ?? []) {
        if (reached.has(child.id)) continue
        reached.add(child.id)
        waiting.push(child.id)
      }
    }
  }
  visit('')
  for (const channel of channels) {
    if (reached.has(channel.id)) continue
    below.set('', [...(below.get('') ?? []), channel])
    reached.add(channel.id)
    visit(channel.id)
  }
  return below
}

/** Rows from the roots down. A search opens everything and shows what matches, with what it lies in. */
export function channelRows(channels: readonly Channel[], search: string, closed: ReadonlySet<string>): ChannelRow[] {
  const below = childrenOf(channels)
  const words = wordsOfSearch(search)
  const hits = new Set(words.length ? channels.filter((one) => found(one, words)).map((one) => one.id) : channels.map((one) => one.id))
  const wanted = new Map<string, number>() // hits that are no folders, in each branch
  const count = (channel: Channel, path: ReadonlySet<string>): number => {
    if (path.has(channel.id) || path.size > DEEPEST) return 0
    const before = wanted.get(channel.id)
    if (before !== undefined) return before
    const deeper = new Set(path).add(channel.id)
    let sum = 0
    for (const child of below.get(channel.id) ?? []) sum += count(child, deeper) + (!isFolder(child) && hits.has(child.id) ? 1 : 0)
    wanted.set(channel.id, sum)
    return sum
  }
  const out: ChannelRow[] = []
  const walk = (channel: Channel, depth: number, path: string[]): void => {
    if (path.includes(channel.id) || depth > DEEPEST) return
    const children = below.get(channel.id) ?? []
    const inside = count(channel, new Set())
    if (words.length && !hits.has(channel.id) && inside === 0) return
    const key = [...path, channel.id].join('/')
    const open = words.length > 0 || !closed.has(key)
    out.push({ key, depth, channel, children: children.length, below: inside, open })
    if (open) for (const child of children) walk(child, depth + 1, [...path, channel.id])
  }
  for (const root of below.get('') ?? []) walk(root, 0, [])
  return out
}
