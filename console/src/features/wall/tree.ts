// The camera tree as flat rows: units in their order, cameras under them, filtered as one types. Pure.
import type { Camera, Unit } from '@/wire/types'

export type Row =
  | { kind: 'unit'; id: string; depth: number; unit: Unit; count: number; open: boolean }
  | { kind: 'camera'; id: string; depth: number; camera: Camera }

/** Does a camera match every word of the search (name, English name, unit, id)? */
export function matches(camera: Camera, search: string): boolean {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  if (words.length === 0) return true
  const text = `${camera.name}\n${camera.name_en}\n${camera.unit_name}\n${camera.id}`.toLowerCase()
  return words.every((word) => text.includes(word))
}

/** Rows from the roots down. Units without a matching camera below them are left out; a search opens all. */
export function rows(units: Unit[], cameras: Camera[], search: string, closed: ReadonlySet<string>): Row[] {
  const all = search.trim() !== ''
  const byUnit = new Map<string, Camera[]>()
  for (const camera of cameras) {
    if (!matches(camera, search)) continue
    const list = byUnit.get(camera.unit)
    if (list) list.push(camera)
    else byUnit.set(camera.unit, [camera])
  }
  const known = new Set(units.map((unit) => unit.id))
  const children = new Map<string | null, Unit[]>()
  for (const unit of units) {
    const parent = unit.parent !== null && known.has(unit.parent) ? unit.parent : null
    children.set(parent, [...(children.get(parent) ?? []), unit])
  }
  const counts = new Map<string, number>()
  const count = (unit: Unit, seen: Set<string>): number => {
    if (seen.has(unit.id)) return 0 // a tree that bites its tail
    seen.add(unit.id)
    let sum = byUnit.get(unit.id)?.length ?? 0
    for (const child of children.get(unit.id) ?? []) sum += count(child, seen)
    counts.set(unit.id, sum)
    return sum
  }
  for (const root of children.get(null) ?? []) count(root, new Set())

  const out: Row[] = []
  const walk = (unit: Unit, depth: number): void => {
    const n = counts.get(unit.id) ?? 0
    if (n === 0) return
    const open = all || !closed.has(unit.id)
    out.push({ kind: 'unit', id: unit.id, depth, unit, count: n, open })
    if (!open) return
    for (const camera of byUnit.get(unit.id) ?? []) out.push({ kind: 'camera', id: camera.id, depth: depth + 1, camera })
    for (const child of children.get(unit.id) ?? []) walk(child, depth + 1)
  }
  for (const root of children.get(null) ?? []) walk(root, 0)
  for (const [unit, list] of byUnit) {
    if (known.has(unit)) continue
    for (const camera of list) out.push({ kind: 'camera', id: camera.id, depth: 0, camera })
  }
  return out
}
