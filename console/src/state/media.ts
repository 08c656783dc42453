import { SharedPlayer, type Player } from '@/media/shared'
import type { Limits } from '@/media/phase'
import { Subscriber, type Wish } from '@/media/subscriber'
import { useLink } from './link'

let subscriber: Subscriber | null = null

/** A player of the page's one connection. */
export function playerOf(wish: Wish, limits?: Limits): Player {
  const link = useLink()
  subscriber ??= new Subscriber({ line: { state: () => link.state, send: link.send, on: link.on } })
  return new SharedPlayer({ subscriber, wish, ...(limits ? { limits } : {}) })
}
