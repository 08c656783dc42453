import { defineStore } from 'pinia'
import { computed, ref, watch } from 'vue'
import { useSession } from './session'

export const LAYOUTS = [1, 4, 6, 9] as const
export type Layout = (typeof LAYOUTS)[number]
const MOST = 9
// how many columns a layout has, for the arrow keys; 6 is one large tile and five small ones round it
const PLACES: Record<Layout, [number, number][]> = {
  1: [[0, 0]],
  4: [[0, 0], [1, 0], [0, 1], [1, 1]],
  6: [[0.5, 0.5], [2, 0], [2, 1], [0, 2], [1, 2], [2, 2]],
  9: [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1], [0, 2], [1, 2], [2, 2]],
}

export interface Remembered {
  layout: Layout
  tiles: (string | null)[]
  tree: boolean
  alerts: boolean
  watermark?: boolean
}

/** Read what was remembered; anything odd falls back to a fresh wall (null). */
export function recall(text: string | null): Remembered | null {
  try {
    const value = JSON.parse(text ?? 'null') as Partial<Remembered> | null
    if (!value || !LAYOUTS.includes(value.layout as Layout) || !Array.isArray(value.tiles)) return null
    const tiles = Array.from({ length: MOST }, (_, at) => {
      const tile = value.tiles?.[at]
      return typeof tile === 'string' ? tile : null
    })
    return { layout: value.layout as Layout, tiles, tree: value.tree !== false, alerts: value.alerts !== false }
  } catch {
    return null
  }
}

/** The tile that lies in a direction from another, or the same one at the edge. */
export function neighbour(layout: Layout, from: number, dx: number, dy: number): number {
  const places = PLACES[layout]
  const here = places[from]
  if (!here) return 0
  let best = from
  let least = Infinity
  for (const [at, [x, y]] of places.entries()) {
    const along = (x - here[0]) * dx + (y - here[1]) * dy
    const aside = Math.abs((x - here[0]) * dy) + Math.abs((y - here[1]) * dx)
    if (at === from || along <= 0.25 || aside > 1.1) continue
    if (along + aside * 2 < least) {
      least = along + aside * 2
      best = at
    }
  }
  return best
}

/** What is on the wall, remembered per person on this machine. */
export const useWall = defineStore('wall', () => {
  const session = useSession()
  const layout = ref<Layout>(4)
  const tiles = ref<(string | null)[]>(Array.from({ length: MOST }, () => null))
  const selected = ref(0)
  const tree = ref(true)
  const alerts = ref(true)
  const fresh = ref(true) // nothing remembered: the wall may be filled with the first cameras
  const visible = computed(() => tiles.value.slice(0, layout.value))
  const key = computed(() => (session.me ? `sharpeyes.wall.${session.me.id}` : null))

  watch(
    key,
    (now) => {
      if (!now) return
      const known = recall(localStorage.getItem(now))
      fresh.value = known === null
      layout.value = known?.layout ?? 4
      tiles.value = known?.tiles ?? Array.from({ length: MOST }, () => null)
      tree.value = known?.tree ?? true
      alerts.value = known?.alerts ?? true
      selected.value = 0
    },
    { immediate: true },
  )
  watch(
    [layout, tiles, tree, alerts],
    () => {
      if (!key.value || fresh.value) return
      const remembered: Remembered = { layout: layout.value, tiles: tiles.value, tree: tree.value, alerts: alerts.value }
      localStorage.setItem(key.value, JSON.stringify(remembered))
    },
    { deep: true },
  )

  function touch(): void {
    fresh.value = false
  }

  function select(at: number): void {
    selected.value = Math.min(Math.max(0, at), layout.value - 1)
  }

  function setLayout(to: Layout): void {
    touch()
    layout.value = to
    select(selected.value)
  }

  function move(dx: number, dy: number): void {
    selected.value = neighbour(layout.value, selected.value, dx, dy)
  }

  /** Put a camera on a tile. One that is on the wall already moves there. */
  function put(camera: string, at: number): void {
    touch()
    const next = [...tiles.value]
    const before = next.indexOf(camera)
    if (before >= 0) next[before] = null
    next[at] = camera
    tiles.value = next
  }

  /** Put a camera on the selected tile and select the next: the first empty one, else the one after. */
  function putNext(camera: string): void {
    const at = selected.value
    put(camera, at)
    const empty = visible.value.findIndex((tile) => tile === null)
    selected.value = empty >= 0 ? empty : (at + 1) % layout.value
  }

  /** Bring a camera into view: where it is shown already, else on an empty tile, else on the selected one. */
  function show(camera: string): void {
    const there = visible.value.indexOf(camera)
    const empty = visible.value.findIndex((tile) => tile === null)
    const at = there >= 0 ? there : empty >= 0 ? empty : selected.value
    if (there < 0) put(camera, at)
    selected.value = at
  }

  function swap(a: number, b: number): void {
    touch()
    const next = [...tiles.value]
    ;[next[a], next[b]] = [next[b] ?? null, next[a] ?? null]
    tiles.value = next
    selected.value = b
  }

  function clear(at: number): void {
    touch()
    tiles.value = tiles.value.map((tile, index) => (index === at ? null : tile))
  }

  function clearAll(): void {
    touch()
    tiles.value = tiles.value.map(() => null)
    selected.value = 0
  }

  /** On the first visit: fill the visible tiles, so that a newcomer sees pictures. */
  function fill(cameras: string[]): void {
    if (!fresh.value || cameras.length === 0) return
    if (cameras.length === 1) layout.value = 1 // a department with one camera needs no empty tiles
    tiles.value = Array.from({ length: MOST }, (_, at) => (at < layout.value ? (cameras[at] ?? null) : null))
    touch()
  }

  function fold(side: 'tree' | 'alerts'): void {
    touch()
    if (side === 'tree') tree.value = !tree.value
    else alerts.value = !alerts.value
  }

  return { layout, tiles, selected, tree, alerts, fresh, visible, select, setLayout, move, put, putNext, show, swap, clear, clearAll, fill, fold }
})
