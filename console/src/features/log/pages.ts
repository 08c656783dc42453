/** Reading the log backwards. The hub gives events after a number; an older window is asked for from its lower edge. */
import type { EventItem, Events } from '@/wire/types'

export interface Wanted {
  kind?: string
  ref?: string
}

export type Fetch = (query: Wanted & { after: number; limit: number }) => Promise<Events>

export const WINDOW = 1_000 // numbers a step, and the hub's largest page: so no window is ever cut short
const ENOUGH = 50 // matches that make a screenful
const MOST_STEPS = 20 // windows looked through before the person is asked to go on

/** The last number of the log: a kind that nothing has matches nothing, and `next` is then the log's head. */
export async function headOf(fetch: Fetch): Promise<number> {
  return (await fetch({ after: 0, limit: 1, kind: 'none' })).next
}

export interface Earlier {
  items: EventItem[] // newest first
  from: number // everything from here on has been looked at; 0: the beginning
}

/** Events before `before`, newest first, as many windows as it takes for a screenful. */
export async function earlier(fetch: Fetch, wanted: Wanted, before: number): Promise<Earlier> {
  const items: EventItem[] = []
  let edge = before
  for (let step = 0; step < MOST_STEPS && edge > 1 && items.length < ENOUGH; step += 1) {
    const after = Math.max(0, edge - 1 - WINDOW)
    const page = await fetch({ ...wanted, after, limit: WINDOW })
    const upper = edge
    items.push(...page.items.filter((item) => item.seq < upper).reverse())
    edge = after + 1
  }
  return { items, from: edge - 1 }
}
