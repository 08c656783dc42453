// Which cameras a platform above us may see: what is chosen, what that changes, what goes out. Pure.
import { matches } from '@/features/wall/tree'
import type { Camera, ShareCamera, SharedCamera } from '@/wire/types'

const ID = /^[0-9]{18,20}$/

export interface Narrow {
  search: string
  units: ReadonlySet<string> | null // null: all
  only: boolean // chosen ones only
}

/** The cameras that the filters leave. */
export function found(cameras: readonly Camera[], narrow: Narrow, chosen: ReadonlyMap<string, string>): Camera[] {
  return cameras.filter(
    (camera) => (!narrow.only || chosen.has(camera.id)) && (narrow.units === null || narrow.units.has(camera.unit)) && matches(camera, narrow.search),
  )
}

/** A unit with all that lies below it. */
export function branch(units: readonly { id: string; parent: string | null }[], root: string): Set<string> {
  const inside = new Set([root])
  for (let grown = true; grown; ) {
    grown = false
    for (const unit of units) {
      if (unit.parent === null || inside.has(unit.id) || !inside.has(unit.parent)) continue
      inside.add(unit.id)
      grown = true
    }
  }
  return inside
}

export interface Change {
  added: number
  removed: number
  renamed: number
}

export function changeOf(before: readonly SharedCamera[], chosen: ReadonlyMap<string, string>): Change {
  const were = new Map(before.map((one) => [one.camera, one.gb_id]))
  let [added, renamed] = [0, 0]
  for (const [camera, id] of chosen) {
    const was = were.get(camera)
    if (was === undefined) added += 1
    else if (was !== id) renamed += 1
  }
  return { added, removed: before.filter((one) => !chosen.has(one.camera)).length, renamed }
}

export const wrongId = (id: string): boolean => id !== '' && !ID.test(id)

export function itemsOf(chosen: ReadonlyMap<string, string>): ShareCamera[] {
  return [...chosen].map(([camera, id]) => (id ? { camera, gb_id: id } : { camera }))
}

const REASONS: ReadonlySet<string> = new Set(['no_answer', 'password_wrong', 'refused', 'heartbeat_lost', 'no_such_host'])

/** Why we are not registered there, as a key under platforms.reason (hub/gateway/cascade.py). */
export function reasonKey(reason: string): string {
  const key = reason.replace(/^gb28181\./, '')
  return REASONS.has(key) ? key : 'other'
}
