import { defineStore } from 'pinia'
import { computed, ref, shallowRef, watch } from 'vue'
import { useLink } from '@/state/link'
import { useSession } from '@/state/session'
import { hub } from '@/wire/hub'
import type { Off } from '@/wire/emitter'
import type { LogEvent } from '@/wire/messages'
import type { NewOrder, Order } from '@/wire/types'

const PAGE = 200
const MOST_PAGES = 5 // a thousand orders in memory; older ones are found through their incident

/** The orders that this person may see, kept fresh by the log's events. */
export const useOrders = defineStore('orders', () => {
  const link = useLink()
  const session = useSession()
  const byId = shallowRef<ReadonlyMap<string, Order>>(new Map())
  const total = ref(0)
  const loaded = ref(false)
  const error = shallowRef<unknown>(null)
  const items = computed(() => [...byId.value.values()])
  const received = new Set<string>() // orders whose receipt this terminal has sent

  function put(...orders: Order[]): void {
    const next = new Map(byId.value)
    for (const order of orders) next.set(order.id, order)
    byId.value = next
  }

  async function load(): Promise<void> {
    try {
      let cursor: string | null = null
      const found: Order[] = []
      for (let page = 0; page < MOST_PAGES; page += 1) {
        const answer: Awaited<ReturnType<typeof hub.orders.list>> = await hub.orders.list({ cursor, limit: PAGE })
        found.push(...answer.items)
        total.value = answer.total
        cursor = answer.next
        if (!cursor) break
      }
      byId.value = new Map(found.map((order) => [order.id, order]))
      loaded.value = true
      error.value = null
    } catch (thrown) {
      error.value = thrown
    }
  }

  /** Fetch one order again. Throws ApiError. */
  async function refresh(id: string): Promise<Order> {
    const order = await hub.orders.get(id)
    put(order)
    return order
  }

  /** Whether this person answers for the order's unit. */
  function isMine(order: Order): boolean {
    return session.can('order.answer') && order.unit === session.me?.unit
  }

  /** The order is on this screen: send the receipt 送达 once, and only for our own unit. */
  function shown(order: Order): void {
    if (order.state !== 'issued' || !isMine(order) || received.has(order.id)) return
    if (link.send({ type: 'order.received', order: order.id })) received.add(order.id)
  }

  async function doing(action: Promise<Order>): Promise<Order> {
    const order = await action
    put(order)
    return order
  }

  function clear(): void {
    byId.value = new Map()
    received.clear()
    loaded.value = false
    error.value = null
  }

  async function taken(event: LogEvent, heard: (event: LogEvent, order: Order) => void): Promise<void> {
    try {
      heard(event, await refresh(event.ref))
    } catch {
      // an order that is not ours to know, or a line that broke: the next load brings what is ours
    }
  }

  /** Keep the orders fresh until the answer is called; `heard` gets each event with its order. */
  function follow(heard: (event: LogEvent, order: Order) => void): Off {
    if (!session.can('order.read')) return () => undefined
    const offs = [link.onReady(() => void load()), link.onEvent('order.', (event) => void taken(event, heard))]
    return () => {
      for (const off of offs) off()
    }
  }

  watch(() => session.me?.id ?? null, clear)

  return {
    items,
    byId,
    total,
    loaded,
    error,
    load,
    refresh,
    isMine,
    shown,
    follow,
    issue: (order: NewOrder) => doing(hub.orders.issue(order)),
    sign: (id: string) => doing(hub.orders.sign(id)),
    feedback: (id: string, text: string, picture: File | null) => doing(hub.orders.feedback(id, text, picture)),
    review: (id: string, accepted: boolean, comment: string) => doing(hub.orders.review(id, accepted, comment)),
    close: (id: string) => doing(hub.orders.close(id)),
  }
})
