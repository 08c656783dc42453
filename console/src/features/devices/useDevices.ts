// The list of devices: pages by cursor, kept fresh while it is in view.
import { useDebounceFn } from '@vueuse/core'
import { onBeforeUnmount, onMounted, ref, shallowRef, watch, type Ref } from 'vue'
import { hub } from '@/wire/hub'
import type { Device, DeviceState } from '@/wire/types'

const PAGE = 100
const EVERY = 3_000 // ms
const FRESH_PAGES = 3 // what lies further down is read again when one gets there anew

export function useDevices(search: Ref<string>, state: Ref<DeviceState | ''>) {
  const items = shallowRef<readonly Device[]>([])
  const counts = ref({ total: 0, online: 0, offline: 0 })
  const next = ref<string | null>(null)
  const loaded = ref(false)
  const busy = ref(false)
  const problem = shallowRef<unknown>(null)
  let round = 0

  const ask = (cursor: string | null) =>
    hub.devices.list({ q: search.value.trim(), cursor, limit: PAGE, ...(state.value ? { state: state.value } : {}) })

  /** Read from the top as far as is shown (bounded). */
  async function refresh(): Promise<void> {
    const mine = ++round
    const far = Math.min(FRESH_PAGES, Math.max(1, Math.ceil(items.value.length / PAGE)))
    try {
      const fresh: Device[] = []
      let cursor: string | null = null
      for (let page = 0; page < far; page += 1) {
        const answer: Awaited<ReturnType<typeof ask>> = await ask(cursor)
        if (mine !== round) return
        fresh.push(...answer.items)
        counts.value = { total: answer.total, online: answer.online, offline: answer.offline }
        cursor = answer.next
        if (!cursor) break
      }
      const known = new Set(fresh.map((one) => one.id))
      const rest = cursor ? items.value.slice(fresh.length).filter((one) => !known.has(one.id)) : []
      items.value = [...fresh, ...rest]
      if (rest.length === 0) next.value = cursor
      loaded.value = true
      problem.value = null
    } catch (error) {
      if (mine === round) problem.value = error
    }
  }

  async function more(): Promise<void> {
    if (!next.value || busy.value) return
    busy.value = true
    const mine = round
    try {
      const answer = await ask(next.value)
      if (mine !== round) return
      const known = new Set(items.value.map((one) => one.id))
      items.value = [...items.value, ...answer.items.filter((one) => !known.has(one.id))]
      next.value = answer.next
    } catch (error) {
      problem.value = error
    } finally {
      busy.value = false
    }
  }

  const sought = useDebounceFn(() => {
    items.value = []
    loaded.value = false
    void refresh()
  }, 200)
  watch([search, state], () => void sought())

  /** Take over a device that was just changed. */
  function put(device: Device): void {
    items.value = items.value.some((one) => one.id === device.id)
      ? items.value.map((one) => (one.id === device.id ? device : one))
      : [device, ...items.value]
  }

  let timer: ReturnType<typeof setInterval>
  onMounted(() => {
    void refresh()
    timer = setInterval(() => {
      if (!document.hidden && !busy.value) void refresh()
    }, EVERY)
  })
  onBeforeUnmount(() => {
    round += 1
    clearInterval(timer)
  })
  return { items, counts, next, loaded, busy, problem, refresh, more, put }
}
